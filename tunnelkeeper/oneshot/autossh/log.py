"""What is told: autossh's log in a file or the system's, and on stderr what ssh would have said.

Lines and levels are autossh's where the event is the same, so that whatever reads such logs goes
on to do so.
"""

from __future__ import annotations

import os
import sys
import syslog
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.tunnel.event_log import EventLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.clock import Clock
    from tunnelkeeper.core.snapshot import LogRecord

NAME = "autossh"
LINE_LIMIT = 2000  # characters


class Level(IntEnum):
    """The levels of syslog(3) that are used; AUTOSSH_LOGLEVEL is one of them."""

    ERROR = 3
    WARNING = 4
    INFO = 6
    DEBUG = 7


LEVELS = {
    "debug": Level.DEBUG,
    "info": Level.INFO,
    "warning": Level.WARNING,
    "error": Level.ERROR,
}
"""Those of the journal."""


@dataclass(slots=True)
class Log:
    """autossh's log. file: a path, or None for the system's log. to_stderr: there too."""

    level: int
    clock: Clock
    file: Path | None = None
    to_stderr: bool = False

    def write(self, level: Level, text: str) -> None:
        """Add a line, if it is important enough. A log that cannot be written stops nothing."""
        if level > self.level:
            return
        line = printable(text, LINE_LIMIT)
        at = self.clock.wall().astimezone().strftime("%Y/%m/%d %H:%M:%S")
        stamped = f"{at} {NAME}[{os.getpid()}]: {line}\n"
        if self.to_stderr:
            write_stderr(stamped)
        if self.file is None:
            syslog.syslog(int(level), line)
            return
        try:
            with self.file.open("a") as out:
                out.write(stamped)
        except OSError:
            return


def open_log(level: int, clock: Clock, file: str | None, *, to_stderr: bool) -> Log:
    """The log that the environment asks for; `file` relative to where we are now.

    Raises OSError: it cannot be written.
    """
    if file is None:
        syslog.openlog(NAME, syslog.LOG_PID, syslog.LOG_USER)
        return Log(level, clock, to_stderr=to_stderr)
    path = Path(file).absolute()
    path.open("a").close()
    return Log(level, clock, path, to_stderr=to_stderr)


@dataclass(slots=True)
class SshMessages:
    """What ssh would say on stderr, or where -E and -y send it. least: the level still told.

    None for least: nothing (-q).
    """

    level: Level | None
    file: Path | None = None
    to_syslog: bool = False

    def write(self, level: Level, text: str) -> None:
        """Tell it, if it is important enough."""
        if self.level is None or level > self.level:
            return
        if self.to_syslog:
            syslog.syslog(int(level), text)
        elif self.file is not None:
            try:
                with self.file.open("a") as out:
                    out.write(f"{text}\n")
            except OSError:
                return
        else:
            write_stderr(f"{text}\n")


def write_stderr(line: str) -> None:
    """Write to stderr; on a terminal that may be raw, with a carriage return."""
    try:
        sys.stderr.write(line.replace("\n", "\r\n") if sys.stderr.isatty() else line)
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # nobody is there to read it


def event_log_for(log: Log, ssh_messages: SshMessages) -> EventLog:
    """The journal that a tunnel's runner writes to, led into the log and to whoever started us."""
    event_log = EventLog(log.clock, level="debug")
    event_log.on_record = _record_writer(log, ssh_messages)
    return event_log


def _record_writer(log: Log, ssh_messages: SshMessages) -> Callable[[LogRecord], None]:
    def tell(record: LogRecord) -> None:
        level = LEVELS[record.level]
        where = f"{record.tunnel}: " if record.tunnel else ""
        log.write(level, where + record.message)
        if not log.to_stderr:
            ssh_messages.write(level, f"{NAME}: {where}{record.message}")

    return tell
