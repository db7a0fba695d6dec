"""The log of autossh, in a file or syslog, and the messages that ssh would print to stderr.

Lines and levels are those of autossh for the same events, so that programs that parse its log keep
working. It does not decide which events are logged.
"""

from __future__ import annotations

import os
import sys
import syslog
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import RECORD_LIMIT, printable
from tunnelkeeper.tunnel.event_log import EventLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.clock import Clock
    from tunnelkeeper.core.snapshot import LogRecord

NAME = "autossh"


class Level(IntEnum):
    """The levels of syslog(3) in use. AUTOSSH_LOGLEVEL sets one of them."""

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
"""The levels of the event log."""


@dataclass(slots=True)
class Log:
    """autossh's log. file: a path, or None for syslog. to_stderr: write to stderr as well."""

    level: int
    clock: Clock
    file: Path | None = None
    to_stderr: bool = False

    def write(self, level: Level, text: str) -> None:
        """Write a line if its level is enabled. Errors in writing the log are ignored."""
        if level > self.level:
            return
        line = printable(text, RECORD_LIMIT)
        timestamp = self.clock.wall().astimezone().strftime("%Y/%m/%d %H:%M:%S")
        stamped = f"{timestamp} {NAME}[{os.getpid()}]: {line}\n"
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
    """Open the log set in the environment. `file` is relative to the current directory.

    Raises:
        OSError: The file cannot be written.
    """
    if file is None:
        syslog.openlog(NAME, syslog.LOG_PID, syslog.LOG_USER)
        return Log(level, clock, to_stderr=to_stderr)
    path = Path(file).absolute()
    path.open("a").close()
    return Log(level, clock, path, to_stderr=to_stderr)


@dataclass(slots=True)
class SshMessages:
    """The messages that ssh would print to stderr, or where -E and -y redirect them.

    level: the least important level that is written. None: nothing (-q).
    """

    level: Level | None
    file: Path | None = None
    to_syslog: bool = False

    def write(self, level: Level, text: str) -> None:
        """Write a message if its level is enabled."""
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
    """Write to stderr. A terminal may be in raw mode, so it gets carriage returns."""
    try:
        sys.stderr.write(line.replace("\n", "\r\n") if sys.stderr.isatty() else line)
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # stderr is closed


def event_log_for(log: Log, ssh_messages: SshMessages) -> EventLog:
    """Return an event log for the runner that writes to autossh's log and ssh's messages."""
    event_log = EventLog(log.clock, level="debug")
    event_log.on_record = _record_writer(log, ssh_messages)
    return event_log


def _record_writer(log: Log, ssh_messages: SshMessages) -> Callable[[LogRecord], None]:
    def write(record: LogRecord) -> None:
        level = LEVELS[record.level]
        where = f"{record.tunnel}: " if record.tunnel else ""
        log.write(level, where + record.message)
        if not log.to_stderr:
            ssh_messages.write(level, f"{NAME}: {where}{record.message}")

    return write
