"""Reads the AUTOSSH_ variables as autossh(1) reads them; the environment is handed in.

Whole numbers are C's: decimal, 0x for hexadecimal, a leading 0 for octal. A variable that is set
and empty is a wrong number where a number is expected, as it is to autossh.
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
"""Characters of AUTOSSH_MESSAGE: autossh(1)."""

_INTEGER = re.compile(r"\s*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", re.ASCII)

_IGNORED = {
    "AUTOSSH_NTSERVICE": "it is for Cygwin",
    "AUTOSSH_PATH": "no other ssh program carries the connection",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says. Times are seconds; None: it says nothing.

    log_level: that of syslog(3), 0 to 7. max_starts: NO_LIMIT for none. max_lifetime: 0 for none.
    port: as -M has it.
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
    """Read the variables.

    Raises LineError.
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
        ignored=tuple(Note(name, why) for name, why in _IGNORED.items() if environment.get(name)),
    )


def parse_integer(text: str) -> int | None:
    """A number as strtol(3) with base 0 reads it; None for anything else."""
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
