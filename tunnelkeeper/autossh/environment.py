"""The AUTOSSH_ variables, parsed like autossh(1). It does not read the process environment.

Integers use C's syntax: decimal, 0x for hexadecimal, a leading 0 for octal. An empty variable is
an invalid number, as it is for autossh.
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
    if len(message.encode(errors="surrogateescape")) > MAX_MESSAGE:
        raise CommandLineError(f"AUTOSSH_MESSAGE: expected at most {MAX_MESSAGE} bytes")
    settings = Settings()
    return Settings(
        debug="AUTOSSH_DEBUG" in environment,
        log_level=_number(environment, "AUTOSSH_LOGLEVEL", settings.log_level, 0, 7),
        log_file=environment.get("AUTOSSH_LOGFILE") or None,
        pid_file=environment.get("AUTOSSH_PIDFILE") or None,
        gate_time=_number(environment, "AUTOSSH_GATETIME", settings.gate_time, 0),
        poll=_number(environment, "AUTOSSH_POLL", settings.poll, 1),
        first_poll=_number(environment, "AUTOSSH_FIRST_POLL", 0, 1) or None,
        max_starts=_number(environment, "AUTOSSH_MAXSTART", settings.max_starts, NO_LIMIT),
        max_lifetime=_number(environment, "AUTOSSH_MAXLIFETIME", settings.max_lifetime, 0),
        message=message,
        port=environment.get("AUTOSSH_PORT") or None,
        ignored=tuple(
            Note(name, reason) for name, reason in _IGNORED.items() if environment.get(name)
        ),
    )


def parse_integer(text: str) -> int | None:
    """Return an integer as parsed by strtol(3) with base 0, or None if invalid."""
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    sign, digits = match.groups()
    base = 16 if digits[:2].lower() == "0x" else 8 if digits.startswith("0") else 10
    return -int(digits, base) if sign == "-" else int(digits, base)


def _number(
    environment: Mapping[str, str], name: str, default: int, least: int, most: int | None = None
) -> int:
    text = environment.get(name)
    if text is None:
        return default
    number = parse_integer(text)
    if number is None or number < least or (most is not None and number > most):
        end = "" if most is None else f" to {most}"
        raise CommandLineError(f"{name}: expected a whole number from {least}{end}, got {text!r}")
    return number
