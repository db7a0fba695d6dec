"""Reads a command line of ssh(1) or autossh(1), argument by argument, as they do.

    ssh     [options] destination [options] [command [argument ...]]
    autossh [--strict] [-V] [-M port[:echo_port]] [-f] and then as ssh

Flags may stand together, and a value may stand with its option or be the next argument: `-NfL
8080:localhost:80`, `-TND4711`, `-p2222`. Options go on behind the destination, unless `--` stood
before it; the first argument after them begins the command. Nothing is looked up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.autossh.options import OPTIONS
from tunnelkeeper.autossh.ssh_command import CommandLineError, Option, SshCommand, setting_of
from tunnelkeeper.core.host_spec import HostSpec, HostSpecError, is_host, parse_host_spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MONITOR = "M"
VERSION = "V"
BACKGROUND = "f"
STRICT = "--strict"
"""Our own: autossh's waits and gate, to the letter. It stands first."""

HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Monitor:
    """The loop of -M: a port here that leads there and back again.

    echo_port: that of an echo service on the server; None: the way back is a forward to port + 1.
    """

    port: int
    echo_port: int | None = None


@dataclass(frozen=True, slots=True)
class AutosshLine:
    """A command line of autossh. ssh: what it hands on.

    monitor: as -M has it; None where it stands not on the line (AUTOSSH_PORT may say it then).
    """

    ssh: SshCommand
    monitor: str | None = None
    background: bool = False
    strict: bool = False


def read_ssh(arguments: Sequence[str]) -> SshCommand:
    """Read what stands behind the word `ssh`.

    Raises LineError.
    """
    return _Reader(arguments, swallows=False).line(own="")


def read_autossh(arguments: Sequence[str]) -> AutosshLine:
    """Read what stands behind the word `autossh`; -V is for wants_version.

    Raises LineError.
    """
    strict, arguments = _strictness(arguments)
    line = _Reader(arguments, swallows=True).line(own=MONITOR)
    monitors = line.values(MONITOR)
    own = {MONITOR, VERSION, BACKGROUND}
    return AutosshLine(
        ssh=SshCommand(
            line.destination,
            line.host,
            tuple(option for option in line.before if option.letter not in own),
            tuple(option for option in line.behind if option.letter not in own),
            line.command,
        ),
        monitor=monitors[-1] if monitors else None,
        background=line.has(BACKGROUND),
        strict=strict,
    )


def wants_version(arguments: Sequence[str]) -> bool:
    """Whether -V stands among the options: autossh then says its version and does no more.

    Raises LineError.
    """
    _, arguments = _strictness(arguments)
    words = _Reader(arguments, swallows=True)
    return any(option.letter == VERSION for option in words.options(own=MONITOR))


def read_monitor(text: str) -> Monitor | None:
    """Read `port[:echo_port]`, as -M and AUTOSSH_PORT have it; None: port 0, no loop.

    Raises LineError.
    """
    port_text, colon, echo_text = text.partition(":")
    port = _number(port_text)
    # The way back takes the next port, so the last one is too high: autossh.c.
    if port is None or port >= HIGHEST_PORT:
        raise CommandLineError(
            f"-M: expected a port from 0 to {HIGHEST_PORT - 1}, got {port_text!r}"
        )
    echo_port = _number(echo_text) if colon else None
    if colon and (echo_port is None or not 0 < echo_port <= HIGHEST_PORT):
        raise CommandLineError(
            f"-M: expected an echo port from 1 to {HIGHEST_PORT}, got {echo_text!r}"
        )
    return Monitor(port, echo_port) if port else None


@dataclass(slots=True)
class _Reader:
    """swallows: whether the first `--` says nothing: autossh takes it out before ssh sees it."""

    arguments: Sequence[str]
    swallows: bool
    at: int = 0
    ended: bool = False

    def line(self, own: str) -> SshCommand:
        before = tuple(self.options(own))
        destination = self._next()
        if destination is None:
            raise CommandLineError("expected a host, and there is none")
        behind = () if self.ended else tuple(self.options(own))
        return SshCommand(
            destination,
            _destination(destination),
            before,
            behind,
            tuple(self.arguments[self.at :]),
        )

    def options(self, own: str) -> Iterator[Option]:
        """The options from here to the first word that is none. own: letters with a value."""
        while self.at < len(self.arguments):
            word = self.arguments[self.at]
            if word == "--":
                self.at += 1
                if self.swallows:
                    self.swallows = False
                    continue
                self.ended = True
                return
            if not word.startswith("-") or word == "-":
                return
            if word.startswith("--"):
                raise CommandLineError(f"unknown option {word}; {STRICT} stands first, if at all")
            self.at += 1
            yield from self._cluster(word[1:], own)

    def _cluster(self, letters: str, own: str) -> Iterator[Option]:
        """The options of one word: flags, of which the last may have a value."""
        for at, letter in enumerate(letters, 1):
            if letter not in OPTIONS:
                raise CommandLineError(f"unknown option -{letter} in {'-' + letters!r}")
            if not OPTIONS[letter].takes_value and letter not in own:
                yield Option(letter)
                continue
            value = letters[at:] or self._next()
            if value is None:
                raise CommandLineError(f"expected a value behind -{letter}")
            if letter == "o":
                setting_of(value)  # or it is refused here, where it stands
            yield Option(letter, value)
            return

    def _next(self) -> str | None:
        if self.at == len(self.arguments):
            return None
        self.at += 1
        return self.arguments[self.at - 1]


def _strictness(arguments: Sequence[str]) -> tuple[bool, Sequence[str]]:
    strict = list(arguments[:1]) == [STRICT]
    return strict, arguments[1:] if strict else arguments


def _destination(text: str) -> HostSpec:
    """Read a destination: only a URL has a port; elsewhere a colon belongs to an IPv6 address."""
    if text.startswith("ssh://"):
        try:
            return parse_host_spec(text)
        except HostSpecError as error:
            raise CommandLineError(str(error)) from None
    user, at, host = text.rpartition("@")
    if (at and not user) or not is_host(host):
        raise CommandLineError(f"expected [user@]host or ssh://[user@]host[:port], got {text!r}")
    return HostSpec(user if at else None, host, None)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else None
