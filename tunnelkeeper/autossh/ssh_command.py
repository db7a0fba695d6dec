"""A parsed command line of ssh(1): its options, host, command, and what they request.

Parsing is in `command_line`. This module does not consider ssh_config; `session_plan` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from msgspec import structs

from tunnelkeeper.autossh.options import IGNORED_KEYWORDS, OPTIONS, Support, support_of
from tunnelkeeper.core.forward_spec import (
    EVERY_INTERFACE,
    LOOPBACK,
    Forward,
    LocalForward,
    SocksForward,
    SpecError,
    TcpAddress,
    parse_local,
    parse_remote,
    parse_socks,
)
from tunnelkeeper.core.ssh_directives import canonical_keyword

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.host_spec import HostSpec

_YES = frozenset({"yes", "true"})
_SPECS: dict[str, Callable[[str], Forward]] = {
    "D": parse_socks,
    "L": parse_local,
    "R": parse_remote,
}
_KEYWORDS = {"dynamicforward": "D", "localforward": "L", "remoteforward": "R"}


class CommandLineError(ValueError):
    """Raised for an invalid command line or variable. The text says what was expected.

    hint: what to do about it, or empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Purpose(Enum):
    """The purpose of a command line."""

    FORWARD = "forward"
    STDIO = "stdio"
    SUBSYSTEM = "subsystem"
    COMMAND = "command"
    SHELL = "shell"

    @property
    def has_session(self) -> bool:
        """Whether a session runs on the server."""
        return self in {Purpose.SUBSYSTEM, Purpose.COMMAND, Purpose.SHELL}


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a command line: its letter, and its value unless it is a flag."""

    letter: str
    value: str | None = None

    def __str__(self) -> str:
        return f"-{self.letter}" if self.value is None else f"-{self.letter} {self.value}"


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of -o: a keyword of ssh_config(5) in lower case, and its value."""

    keyword: str
    value: str


@dataclass(frozen=True, slots=True)
class Note:
    """An option that is ignored or refused, as written, and the reason."""

    option: str
    reason: str

    def __str__(self) -> str:
        return f"{self.option}: {self.reason}"


@dataclass(frozen=True, slots=True)
class SshCommand:
    """A command line of ssh.

    destination: the host as written. host: its parsed form, without -l and -p.
    options_before, options_after: the options on either side of it, in order. command: the
    remaining arguments, which ssh joins with spaces, or the name of a subsystem.
    """

    destination: str
    host: HostSpec
    options_before: tuple[Option, ...] = ()
    options_after: tuple[Option, ...] = ()
    command: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[Option, ...]:
        """All options, in order."""
        return self.options_before + self.options_after

    def count(self, letter: str) -> int:
        """Return how often an option is given: -t and -v add up."""
        return sum(option.letter == letter for option in self.options)

    def has(self, letter: str) -> bool:
        """Return whether an option is given."""
        return self.count(letter) > 0

    def values(self, letter: str) -> tuple[str, ...]:
        """Return all values of an option."""
        return tuple(o.value for o in self.options if o.letter == letter and o.value is not None)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The values of -o. ssh uses the first value of each keyword, but all forwards."""
        return tuple(parse_setting(value) for value in self.values("o"))

    def setting(self, keyword: str) -> str | None:
        """Return the value that -o gives a keyword (in lower case), or None."""
        return next((s.value for s in self.settings if s.keyword == keyword), None)

    @property
    def user(self) -> str | None:
        """The user, if given. The first value applies, as in ssh.c."""
        return self._first_value("l", "user", self.host.user)

    @property
    def port(self) -> int | None:
        """The server's port, if given as a number."""
        in_destination = None if self.host.port is None else str(self.host.port)
        port = self._first_value("p", "port", in_destination)
        return int(port) if port is not None and port.isdecimal() else None

    @property
    def purpose(self) -> Purpose:
        """The purpose of the command line without ssh_config."""
        if self.has("W"):
            return Purpose.STDIO
        if self.has("N") or self.setting("sessiontype") == "none":
            return Purpose.FORWARD
        if self.has("s") or self.setting("sessiontype") == "subsystem":
            return Purpose.SUBSYSTEM
        runs = self.command or self.setting("remotecommand") not in {None, "none"}
        return Purpose.COMMAND if runs else Purpose.SHELL

    @property
    def forwards(self) -> tuple[Forward, ...]:
        """The forwards of -L, -R, -D and -o, in order.

        Raises:
            CommandLineError: A forward is invalid.
        """
        if (self.setting("clearallforwardings") or "no").lower() in _YES:
            return ()
        gateway = self.has("g") or (self.setting("gatewayports") or "no").lower() in _YES
        forwards = [forward_from_option(option, gateway=gateway) for option in self.options]
        return tuple(forward for forward in forwards if forward is not None)

    @property
    def ignored(self) -> tuple[Note, ...]:
        """The options that are accepted but have no effect."""
        keywords = [s for s in self.settings if s.keyword in IGNORED_KEYWORDS]
        return self._with_support(Support.IGNORED) + tuple(
            Note(f"-o {s.keyword}={s.value}", IGNORED_KEYWORDS[s.keyword]) for s in keywords
        )

    @property
    def refused(self) -> tuple[Note, ...]:
        """The options that are not supported and cannot be ignored."""
        return self._with_support(Support.REFUSED)

    def _with_support(self, support: Support) -> tuple[Note, ...]:
        in_session = self.purpose.has_session
        return tuple(
            Note(str(option), OPTIONS[option.letter].reason)
            for option in dict.fromkeys(self.options)
            if support_of(option.letter, in_session=in_session) is support
        )

    def _first_value(self, letter: str, keyword: str, in_destination: str | None) -> str | None:
        values = [*_values_of(self.options_before, letter, keyword)]
        values += [] if in_destination is None else [in_destination]
        values += _values_of(self.options_after, letter, keyword)
        return next(iter(values), None)


def parse_setting(text: str) -> Setting:
    """Parse the value of -o: `Keyword=value` or `Keyword value`, optionally quoted.

    Raises:
        CommandLineError: The command line is invalid.
    """
    rest = text.strip()
    end = next((at for at, c in enumerate(rest) if c in " \t="), len(rest))
    keyword, value = rest[:end], rest[end:].strip().removeprefix("=").strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if not keyword or not value:
        raise CommandLineError(f"expected Keyword=value after -o, got {text!r}")
    return Setting(canonical_keyword(keyword), value)


def forward_from_option(option: Option, *, gateway: bool = False) -> Forward | None:
    """Return the forward that an option requests, or None for other options.

    gateway: whether -g or GatewayPorts binds forwards without an address to all interfaces.

    Raises:
        CommandLineError: The command line is invalid.
    """
    letter, spec = option.letter, option.value or ""
    if letter == "o":
        setting = parse_setting(spec)
        # In ssh_config(5), white space separates the two ends of a forward.
        letter, spec = _KEYWORDS.get(setting.keyword, ""), ":".join(setting.value.split())
    if letter not in _SPECS:
        return None
    try:
        forward = _SPECS[letter](spec)
    except SpecError as error:
        raise CommandLineError(f"{option}: {error}") from None
    return with_gateway_ports(forward, spec) if gateway else forward


def with_gateway_ports(forward: Forward, spec: str) -> Forward:
    """Return a forward under GatewayPorts: without a bind address, it listens on all interfaces."""
    match forward:
        case (
            LocalForward(listen=TcpAddress(host=host, port=port))
            | SocksForward(listen=TcpAddress(host=host, port=port))
        ) if host == LOOPBACK and not spec.startswith((LOOPBACK, f"[{LOOPBACK}]")):
            return structs.replace(forward, listen=TcpAddress(EVERY_INTERFACE, port))
    return forward


def _values_of(options: tuple[Option, ...], letter: str, keyword: str) -> list[str]:
    values: list[str] = []
    for option in options:
        if option.letter == letter and option.value is not None:
            values.append(option.value)
        elif option.letter == "o" and option.value is not None:
            setting = parse_setting(option.value)
            values += [setting.value] if setting.keyword == keyword else []
    return values
