"""Reads the newest lines that our services wrote to the journal, through journalctl(1)."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from tunnelkeeper.core.snapshot import LogRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

IDENTIFIER = "tunnelkeeper"
"""SyslogIdentifier= of the supervisor's units."""

ANSWER_TIMEOUT = 10.0
_ERROR, _WARNING, _INFO = 3, 4, 6
"""Priorities of syslog(3). A lower number is more urgent."""


def read_journal(lines: int) -> list[LogRecord]:
    """Return the newest lines of this user's supervisors, newest last. The tunnel is not parsed.

    Without a journal, or if it cannot be read, there are none.
    """
    command = ["journalctl", "--no-pager", "--quiet", "--output=json", f"--lines={lines}"]
    command += [f"_UID={os.getuid()}", f"SYSLOG_IDENTIFIER={IDENTIFIER}"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return list(_parse(done.stdout))


def _parse(output: bytes) -> Iterator[LogRecord]:
    """Yield the entries of `journalctl --output=json`, an object per line."""
    for line in output.splitlines():
        try:
            entry = json.loads(line)
            microseconds = int(entry["__REALTIME_TIMESTAMP"])
            moment = datetime.fromtimestamp(microseconds / 1_000_000, UTC)
            level = _level_of(int(entry.get("PRIORITY", _INFO)))
            yield LogRecord(
                moment.strftime("%Y-%m-%dT%H:%M:%SZ"), level, "", _text_of(entry["MESSAGE"])
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError):
            continue  # an entry in a form that no known version of systemd writes


def _text_of(message: Any) -> str:
    """Return a message. One that is not UTF-8 is a list of bytes, one that is too long is null."""
    if isinstance(message, list):
        return bytes(message).decode(errors="replace")
    return message if isinstance(message, str) else ""


def _level_of(priority: int) -> Literal["debug", "info", "warning", "error"]:
    if priority <= _ERROR:
        return "error"
    if priority == _WARNING:
        return "warning"
    return "info" if priority <= _INFO else "debug"
