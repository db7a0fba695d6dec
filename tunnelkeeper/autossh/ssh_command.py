"""What a command line of ssh(1) says: its options, its host, its command, and what they ask for.

These are values. How a line is read is in `reading`; what ssh_config adds to it, `ssh -G` knows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

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
    """A line was not written as ssh(1) or autossh(1) has it; the text says what was expected."""


class Purpose(Enum):
    """What a line is for."""

    FORWARD = "forward"
    STDIO = "stdio"
    SUBSYSTEM = "subsystem"
    COMMAND = "command"
    SHELL = "shell"

    @property
    def has_session(self) -> bool:
        """Whether something runs on the server."""
        return self in {Purpose.SUBSYSTEM, Purpose.COMMAND, Purpose.SHELL}


@dataclass(frozen=True, slots=True)
class Option:
    """An option as it stood on a line: its letter, and its value unless it is a flag."""

    letter: str
    value: str | None = None

    def __str__(self) -> str:
        return f"-{self.letter}" if self.value is None else f"-{self.letter} {self.value}"


@dataclass(frozen=True, slots=True)
class Setting:
    """What stood behind -o: a keyword of ssh_config(5) in lower case, and its value."""

    keyword: str
    value: str


@dataclass(frozen=True, slots=True)
class Note:
    """An option that was noted or refused, as it stood on the line, and why."""

    option: str
    reason: str

    def __str__(self) -> str:
        return f"{self.option}: {self.reason}"


@dataclass(frozen=True, slots=True)
class SshCommand:
    """A command line of ssh.

    destination: the host as it was written; host: what that means, without the options' -l and -p.
    before, behind: the options on both sides of it, in their order. command: the words after all
    that, which ssh joins with spaces; of a subsystem, its name.
    """

    destination: str
    host: HostSpec
    options_before: tuple[Option, ...] = ()
    options_after: tuple[Option, ...] = ()
    command: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[Option, ...]:
        """All options, in their order."""
        return self.options_before + self.options_after

    def count(self, letter: str) -> int:
        """How often an option stands on the line: -t and -v add up."""
        return sum(option.letter == letter for option in self.options)

    def has(self, letter: str) -> bool:
        """Whether an option stands on the line."""
        return self.count(letter) > 0

    def values(self, letter: str) -> tuple[str, ...]:
        """What an option was given, each time."""
        return tuple(o.value for o in self.options if o.letter == letter and o.value is not None)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """What stood behind -o; for each keyword ssh goes by the first, but forwards add up."""
        return tuple(parse_setting(value) for value in self.values("o"))

    def setting(self, keyword: str) -> str | None:
        """The value that -o gives a keyword (in lower case), or None."""
        return next((s.value for s in self.settings if s.keyword == keyword), None)

    @property
    def user(self) -> str | None:
        """Who logs in, where the line says so: the first word holds, as in ssh.c."""
        return self._first_value("l", "user", self.host.user)

    @property
    def port(self) -> int | None:
        """The server's port, where the line says so and it is a number."""
        written = None if self.host.port is None else str(self.host.port)
        port = self._first_value("p", "port", written)
        return int(port) if port is not None and port.isdecimal() else None

    @property
    def purpose(self) -> Purpose:
        """What the line is for, as far as it says so itself."""
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
        """What the line forwards by -L, -R, -D or -o, in its order.

        Raises LineError.
        """
        if (self.setting("clearallforwardings") or "no").lower() in _YES:
            return ()
        gateway = self.has("g") or (self.setting("gatewayports") or "no").lower() in _YES
        found = [forward_from_option(option, gateway=gateway) for option in self.options]
        return tuple(forward for forward in found if forward is not None)

    @property
    def ignored(self) -> tuple[Note, ...]:
        """The options that are accepted and mean nothing here."""
        keywords = [s for s in self.settings if s.keyword in IGNORED_KEYWORDS]
        return self._with_support(Support.IGNORED) + tuple(
            Note(f"-o {s.keyword}={s.value}", IGNORED_KEYWORDS[s.keyword]) for s in keywords
        )

    @property
    def refused(self) -> tuple[Note, ...]:
        """The options without which the user would get something else than asked for."""
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
    """Read what stands behind -o: `Keyword=value` or `Keyword value`, quoted or not.

    Raises LineError.
    """
    rest = text.strip()
    end = next((at for at, c in enumerate(rest) if c in " \t="), len(rest))
    keyword, value = rest[:end], rest[end:].strip().removeprefix("=").strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if not keyword or not value:
        raise CommandLineError(f"expected Keyword=value behind -o, got {text!r}")
    return Setting(keyword.lower(), value)


def forward_from_option(option: Option, *, gateway: bool = False) -> Forward | None:
    """The forward that an option asks for; None for any other option.

    gateway: whether -g or GatewayPorts opens ports to everybody that name no address.

    Raises LineError.
    """
    letter, spec = option.letter, option.value or ""
    if letter == "o":
        setting = parse_setting(spec)
        # ssh_config(5) parts the two ends of a forward with white space.
        letter, spec = _KEYWORDS.get(setting.keyword, ""), ":".join(setting.value.split())
    if letter not in _SPECS:
        return None
    try:
        forward = _SPECS[letter](spec)
    except SpecError as error:
        raise CommandLineError(f"{option}: {error}") from None
    return with_gateway_ports(forward, spec) if gateway else forward


def with_gateway_ports(forward: Forward, spec: str) -> Forward:
    """A forward under GatewayPorts: of those that listen here, what names no address."""
    match forward:
        case (
            LocalForward(listen=TcpAddress(host=host, port=port))
            | SocksForward(listen=TcpAddress(host=host, port=port))
        ) if host == LOOPBACK and not spec.startswith((LOOPBACK, f"[{LOOPBACK}]")):
            return replace(forward, listen=TcpAddress(EVERY_INTERFACE, port))
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
