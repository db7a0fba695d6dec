"""The log of autossh, in a file or syslog, and the messages that ssh would print to stderr.

Threads write them, so that a file or pipe that blocks delays nothing.

Lines and levels are those of autossh for the same events, so that programs that parse its log keep
working. It does not decide which events are logged.
"""

from __future__ import annotations

import os
import syslog
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.message import Message
from tunnelkeeper.core.text import RECORD_LIMIT, printable
from tunnelkeeper.net.line_sinks import FileSink, stderr_sink
from tunnelkeeper.net.line_writer import LineWriter, call_bounded, close_all, loss_text
from tunnelkeeper.tunnel.event_log import EventLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.clock import Clock
    from tunnelkeeper.core.snapshot import LogRecord

NAME = "autossh"

FILE_TIMEOUT = 2.0
"""Seconds for which a file that does not answer may delay the start or the exit."""


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


class _SyslogSink:
    """The system's log. Its socket blocks while the log service does not read."""

    def write(self, line: str, level: int) -> None:
        """Write a line."""
        syslog.syslog(level, line.rstrip("\n"))


@dataclass(slots=True)
class Log:
    """autossh's log. out: the file, or syslog. stderr: to be written as well, if set."""

    level: int
    clock: Clock
    out: LineWriter
    has_times: bool
    stderr: LineWriter | None = None

    def write(self, level: Level, text: str, hint: str = "") -> None:
        """Write a line, and one with the hint, if their level is enabled.

        Errors in writing the log are ignored.
        """
        if level > self.level:
            return
        for each in Message(text, hint).lines:
            line = f"{printable(each, RECORD_LIMIT)}\n"
            stamped = with_time(line, self.clock)
            if self.stderr is not None:
                self.stderr.write(stamped)
            self.out.write(stamped if self.has_times else line, level)


def with_time(line: str, clock: Clock) -> str:
    """Return a line of the log as autossh writes it to a file."""
    timestamp = clock.wall().astimezone().strftime("%Y/%m/%d %H:%M:%S")
    return f"{timestamp} {NAME}[{os.getpid()}]: {line}"


def stderr_writer() -> LineWriter:
    """Return the writer of standard error."""
    return LineWriter(stderr_sink(), lambda count: f"{NAME}: {loss_text(count)}\n")


def open_log(level: int, clock: Clock, file: str | None, stderr: LineWriter | None) -> Log:
    """Open the log set in the environment. `file` is relative to the current directory.

    Raises:
        OSError: The file cannot be written.
    """
    if file is None:
        syslog.openlog(NAME, syslog.LOG_PID, syslog.LOG_USER)
        writer = LineWriter(_SyslogSink(), lambda count: f"{loss_text(count)}\n")
        return Log(level, clock, writer, has_times=False, stderr=stderr)
    writer = open_file(file, lambda count: with_time(f"{loss_text(count)}\n", clock))
    return Log(level, clock, writer, has_times=True, stderr=stderr)


def open_file(file: str, describe_loss: Callable[[int], str]) -> LineWriter:
    """Return the writer of a file. A file system that hangs does not delay the start for long.

    Raises:
        OSError: The file cannot be written.
    """
    sink = FileSink(Path(file).absolute())
    call_bounded(sink.open_without_waiting, FILE_TIMEOUT)
    return LineWriter(sink, describe_loss)


@dataclass(slots=True)
class SshMessages:
    """The messages that ssh would print to stderr, or where -E and -y redirect them.

    level: the least important level that is written. None: nothing (-q).
    """

    level: Level | None
    out: LineWriter

    def write(self, level: Level, text: str, hint: str = "") -> None:
        """Write a message, and its hint on a line of its own, if its level is enabled."""
        if self.level is not None and level <= self.level:
            for line in Message(text, hint).lines:
                self.out.write(f"{line}\n", level)


def open_ssh_messages(
    level: Level | None, file: str | None, stderr: LineWriter, *, to_syslog: bool
) -> SshMessages:
    """Open the destination of ssh's messages: a file, syslog or stderr.

    Raises:
        OSError: The file cannot be written.
    """
    if to_syslog:
        return SshMessages(
            level, LineWriter(_SyslogSink(), lambda count: f"{NAME}: {loss_text(count)}\n")
        )
    if file is None:
        return SshMessages(level, stderr)
    return SshMessages(level, open_file(file, lambda count: f"{NAME}: {loss_text(count)}\n"))


@dataclass(frozen=True, slots=True)
class Output:
    """All that the program writes, except the data of a remote session."""

    log: Log
    ssh_messages: SshMessages
    stderr: LineWriter

    @property
    def writers(self) -> set[LineWriter]:
        """All writers, once each."""
        return {self.log.out, self.ssh_messages.out, self.stderr}

    def close(self) -> None:
        """Write the last lines, for a limited time. Later lines are written too."""
        close_all(self.writers)

    def after_fork(self) -> None:
        """Continue in the child."""
        for writer in self.writers:
            writer.after_fork()


def event_log_for(log: Log, ssh_messages: SshMessages) -> EventLog:
    """Return an event log for the runner that writes to autossh's log and ssh's messages."""
    event_log = EventLog(log.clock, level="debug")
    event_log.on_record = _record_writer(log, ssh_messages)
    return event_log


def _record_writer(log: Log, ssh_messages: SshMessages) -> Callable[[LogRecord], None]:
    def write(record: LogRecord) -> None:
        level = LEVELS[record.level]
        where = f"{record.tunnel}: " if record.tunnel else ""
        log.write(level, where + record.message, record.hint)
        if log.stderr is None:
            ssh_messages.write(level, f"{NAME}: {where}{record.message}", record.hint)

    return write
