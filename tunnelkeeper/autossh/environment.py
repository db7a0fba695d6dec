"""The AUTOSSH_ variables, parsed like autossh(1). It does not read the process environment.

Integers use C's syntax: decimal, 0x for hexadecimal, a leading 0 for octal. An empty variable is
an invalid number, as it is for autossh. A negative poll time or lifetime is valid: autossh then
uses the default.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.autossh.ssh_command import CommandLineError, Note

if TYPE_CHECKING:
    from collections.abc import Mapping

GATE_TIME = 30
POLL_TIME = 600
NO_LIMIT = -1
MAX_MESSAGE = 64
"""The length limit of AUTOSSH_MESSAGE in bytes: autossh(1)."""

LOG_DEBUG = 7
"""The highest level of syslog(3). AUTOSSH_DEBUG sets it."""
LONG_MAX = 2**63 - 1

_INTEGER = re.compile(r"\s*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", re.ASCII)

_IGNORED = {
    "AUTOSSH_NTSERVICE": "it applies to Cygwin only",
    "AUTOSSH_PATH": "the connection uses no ssh program",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in the environment. Times are seconds. None: not set.

    log_level: a level of syslog(3), 0 to 7. max_starts: NO_LIMIT for none. max_lifetime: 0 for
    none. port: in the form of -M.
    """

    debug: bool = False
    log_level: int = 6
    log_file: str | None = None
    pid_file: str | None = None
    gate_time: int = GATE_TIME
    poll: int = POLL_TIME
    first_poll: int | None = None
    max_starts: int = NO_LIMIT
    max_lifetime: int = 0
    message: str = ""
    port: str | None = None
    ignored: tuple[Note, ...] = ()


def parse_environment(environment: Mapping[str, str]) -> Settings:
    """Parse the AUTOSSH_ variables.

    Raises:
        CommandLineError: A variable is invalid.
    """
    message = environment.get("AUTOSSH_MESSAGE", "")
    debug = "AUTOSSH_DEBUG" in environment
    if len(message.encode(errors="surrogateescape")) > MAX_MESSAGE:
        raise CommandLineError(f"AUTOSSH_MESSAGE: expected at most {MAX_MESSAGE} bytes")
    settings = Settings()
    return Settings(
        debug=debug,
        log_level=LOG_DEBUG
        if debug  # autossh does not read the level then
        else _number(environment, "AUTOSSH_LOGLEVEL", settings.log_level, 0, LOG_DEBUG),
        log_file=environment.get("AUTOSSH_LOGFILE") or None,
        pid_file=environment.get("AUTOSSH_PIDFILE") or None,
        gate_time=_number(environment, "AUTOSSH_GATETIME", settings.gate_time, 0),
        poll=_poll_time(environment, "AUTOSSH_POLL") or settings.poll,
        first_poll=_poll_time(environment, "AUTOSSH_FIRST_POLL"),
        max_starts=_number(environment, "AUTOSSH_MAXSTART", settings.max_starts, NO_LIMIT),
        max_lifetime=max(0, _number(environment, "AUTOSSH_MAXLIFETIME", settings.max_lifetime)),
        message=message,
        port=environment.get("AUTOSSH_PORT") or None,
        ignored=tuple(
            Note(name, reason) for name, reason in _IGNORED.items() if environment.get(name)
        ),
    )


def parse_integer(text: str) -> int | None:
    """Return an integer as parsed by strtol(3) with base 0, or None if invalid.

    A number too large for a long becomes the nearest long.
    """
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    sign, digits = match.groups()
    base = 16 if digits[:2].lower() == "0x" else 8 if digits.startswith("0") else 10
    # Python refuses to convert thousands of decimal digits.
    size = LONG_MAX if base == 10 and len(digits) > 20 else min(int(digits, base), LONG_MAX)
    return -size if sign == "-" else size


def _poll_time(environment: Mapping[str, str], name: str) -> int | None:
    """Return a poll time, or None if not set. A negative one is the default, as in autossh."""
    if name not in environment:
        return None
    time = _number(environment, name, POLL_TIME)
    if time == 0:
        raise CommandLineError(f"{name}: expected a number of seconds other than 0, got 0")
    return POLL_TIME if time < 0 else time


def _number(
    environment: Mapping[str, str],
    name: str,
    default: int,
    least: int | None = None,
    most: int | None = None,
) -> int:
    text = environment.get(name)
    if text is None:
        return default
    number = parse_integer(text)
    if (
        number is None
        or (least is not None and number < least)
        or (most is not None and number > most)
    ):
        start = "" if least is None else f" from {least}"
        end = "" if most is None else f" to {most}"
        raise CommandLineError(f"{name}: expected a whole number{start}{end}, got {text!r}")
    return number
