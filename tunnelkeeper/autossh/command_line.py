"""Parsers for the command lines of ssh(1) and autossh(1). They look nothing up.

    ssh     [options] destination [options] [command [argument ...]]
    autossh [--strict] [-h] [-V] [-M port[:echo_port]] [-f] followed by ssh arguments

Flags may be combined, and a value may be attached to its option or be the next argument: `-NfL
8080:localhost:80`, `-TND4711`, `-p2222`. More options may follow the destination, unless `--`
preceded it. The first argument after them begins the command.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.autossh.environment import parse_integer
from tunnelkeeper.autossh.options import OPTIONS
from tunnelkeeper.autossh.ssh_command import CommandLineError, Option, SshCommand, parse_setting
from tunnelkeeper.core.host_spec import HostSpec, HostSpecError, is_host, parse_host_spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MONITOR = "M"
VERSION = "V"
HELP = "h"
LONG_HELP = "--help"
BACKGROUND = "f"
STRICT = "--strict"
"""Our own option: follow autossh's delays and gate time exactly. It must be the first argument."""

HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Monitor:
    """The monitoring loop of -M: a local port whose data returns through the server.

    echo_port: the port of an echo service on the server. None: a remote forward returns the data
    to port + 1.
    """

    port: int
    echo_port: int | None = None


@dataclass(frozen=True, slots=True)
class AutosshCommand:
    """A command line of autossh. ssh: the part that autossh passes to ssh.

    monitor: the value of -M, or None if not given (AUTOSSH_PORT may set it).
    """

    ssh: SshCommand
    monitor: str | None = None
    background: bool = False
    strict: bool = False


def parse_ssh(arguments: Sequence[str]) -> SshCommand:
    """Parse the arguments of `ssh`.

    Raises:
        CommandLineError: The command line is invalid.
    """
    return _Parser(arguments, ignores_first_terminator=False).command(extra="")


def parse_autossh(arguments: Sequence[str]) -> AutosshCommand:
    """Parse the arguments of `autossh`. For -V and -h, use information_flag.

    Raises:
        CommandLineError: The command line is invalid.
    """
    strict, arguments = _split_strict(arguments)
    line = _Parser(arguments, ignores_first_terminator=True).command(extra=MONITOR)
    monitors = line.values(MONITOR)
    own = {MONITOR, VERSION, BACKGROUND}
    return AutosshCommand(
        ssh=SshCommand(
            line.destination,
            line.host,
            tuple(option for option in line.options_before if option.letter not in own),
            tuple(option for option in line.options_after if option.letter not in own),
            line.command,
        ),
        monitor=monitors[-1] if monitors else None,
        background=line.has(BACKGROUND),
        strict=strict,
    )


def information_flag(arguments: Sequence[str]) -> str | None:
    """Return VERSION or HELP if it is among the options. autossh then only prints a text.

    Raises:
        CommandLineError: The command line is invalid.
    """
    _, arguments = _split_strict(arguments)
    parser = _Parser(arguments, ignores_first_terminator=True, has_help=True)
    letters = (option.letter for option in _all_options(parser))
    return next((letter for letter in letters if letter in {VERSION, HELP}), None)


def parse_monitor(text: str) -> Monitor | None:
    """Parse `port[:echo_port]`, the value of -M and AUTOSSH_PORT. Port 0, no loop, gives None.

    Both ports are numbers of C, as in autossh: 0x4e20 is 20000.

    Raises:
        CommandLineError: The command line is invalid.
    """
    port_text, colon, echo_text = text.partition(":")
    port = parse_integer(port_text)
    # The return path uses the next port, so the highest port is invalid: autossh.c.
    if port is None or not 0 <= port < HIGHEST_PORT:
        raise CommandLineError(
            f"-M: expected a port from 0 to {HIGHEST_PORT - 1}, got {port_text!r}"
        )
    echo_port = parse_integer(echo_text) if colon else None
    if colon and (echo_port is None or not 0 < echo_port <= HIGHEST_PORT):
        raise CommandLineError(
            f"-M: expected an echo port from 1 to {HIGHEST_PORT}, got {echo_text!r}"
        )
    return Monitor(port, echo_port) if port else None


@dataclass(slots=True)
class _Parser:
    """A parser of options. extra: letters of options with a value beyond those of ssh.

    ignores_first_terminator: autossh removes the first `--` before ssh sees it. has_help: -h and
    --help are options.
    """

    arguments: Sequence[str]
    ignores_first_terminator: bool
    has_help: bool = False
    position: int = 0
    options_ended: bool = False

    def command(self, extra: str) -> SshCommand:
        before = tuple(self.options(extra))
        destination = self._next()
        if destination is None:
            raise CommandLineError("expected a host, got none")
        behind = () if self.options_ended else tuple(self.options(extra))
        return SshCommand(
            destination,
            _parse_destination(destination),
            before,
            behind,
            tuple(self.arguments[self.position :]),
        )

    def options(self, extra: str) -> Iterator[Option]:
        """Yield the options up to the first argument that is not an option."""
        while self.position < len(self.arguments):
            argument = self.arguments[self.position]
            if argument == "--":
                self.position += 1
                if self.ignores_first_terminator:
                    self.ignores_first_terminator = False
                    continue
                self.options_ended = True
                return
            if not argument.startswith("-") or argument == "-":
                return
            if argument == LONG_HELP and self.has_help:
                self.position += 1
                yield Option(HELP)
                continue
            if argument.startswith("--"):
                raise CommandLineError(
                    f"unknown option {argument}", f"{STRICT} must be the first argument"
                )
            self.position += 1
            yield from self._cluster(argument[1:], extra)

    def _cluster(self, letters: str, extra: str) -> Iterator[Option]:
        """Yield the options of one argument: flags, of which the last may have a value."""
        for at, letter in enumerate(letters, 1):
            if letter == HELP and self.has_help:
                yield Option(HELP)
                continue
            if letter not in OPTIONS:
                raise CommandLineError(f"unknown option -{letter} in {'-' + letters!r}")
            if not OPTIONS[letter].takes_value and letter not in extra:
                yield Option(letter)
                continue
            value = letters[at:] or self._next()
            if value is None:
                raise CommandLineError(f"expected a value after -{letter}")
            if letter == "o":
                parse_setting(value)  # raises here if it is invalid
            yield Option(letter, value)
            return

    def skip_host(self) -> None:
        """Skip the host, if present."""
        self._next()

    def _next(self) -> str | None:
        if self.position == len(self.arguments):
            return None
        self.position += 1
        return self.arguments[self.position - 1]


def _all_options(parser: _Parser) -> Iterator[Option]:
    """Yield the options on both sides of the host. Those of a remote command are not among them."""
    yield from parser.options(extra=MONITOR)
    parser.skip_host()
    if not parser.options_ended:
        yield from parser.options(extra=MONITOR)


def _split_strict(arguments: Sequence[str]) -> tuple[bool, Sequence[str]]:
    strict = list(arguments[:1]) == [STRICT]
    return strict, arguments[1:] if strict else arguments


def _parse_destination(text: str) -> HostSpec:
    """Parse a destination. Only a URL has a port; otherwise a colon is part of an IPv6 address."""
    if text.startswith("ssh://"):
        try:
            return parse_host_spec(text)
        except HostSpecError as error:
            raise CommandLineError(str(error)) from None
    user, at, host = text.rpartition("@")
    if (at and not user) or not is_host(host):
        raise CommandLineError(f"expected [user@]host or ssh://[user@]host[:port], got {text!r}")
    return HostSpec(user if at else None, host, None)
