"""Lines for systemd's journal: a priority in front, and no time of their own (sd-daemon(3)).

It writes nothing; it only says how a line has to begin where the journal reads it.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""syslog(3)'s numbers for the levels of our log."""


def reads(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether what is written to a stream goes to the journal: $JOURNAL_STREAM names its pipe."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def prefix(level: str) -> str:
    """What stands before a line of a level: `<3>` for an error."""
    return f"<{PRIORITIES.get(level, PRIORITIES['info'])}>"


class PriorityFormatter(logging.Formatter):
    """Formats what Python's logging writes for the journal, each line of it with the priority."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        start = prefix(record.levelname.lower())
        return "\n".join(f"{start}{line}" for line in super().format(record).splitlines())
