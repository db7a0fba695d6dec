"""The event log of a supervisor: kept for `logs`, sent to subscribers, printed as text or JSON."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from tunnelkeeper.clock import iso
from tunnelkeeper.core.log_limiter import LogLimiter
from tunnelkeeper.core.snapshot import LogRecord
from tunnelkeeper.core.text import RECORD_LIMIT, printable
from tunnelkeeper.net.line_writer import loss_text
from tunnelkeeper.presentation.formatting import record_lines
from tunnelkeeper.systemd.notify import journal_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tunnelkeeper.clock import Clock
    from tunnelkeeper.core.configuration import LogFormat, LogLevel

MAX_RECORDS_PER_TUNNEL = 500
MAX_SUPERVISOR_RECORDS = 2000

Level = Literal["debug", "info", "warning", "error"]
LEVELS: dict[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}

THROTTLE_INTERVAL = 30.0
"""Seconds in which `write_throttled` writes a given message of a tunnel only once."""

THROTTLE_BURST = 20
"""Different messages of one tunnel and kind per minute. What is beyond is counted."""


class Output(Protocol):
    """The output of an event log: a line writer, or a text stream."""

    def write(self, line: str, /) -> int:
        """Write a line."""

    def flush(self) -> None:
        """Write what is buffered."""


@dataclass(slots=True)
class EventLog:
    """The log of one supervisor. Records below `level` are neither kept nor printed.

    for_journald: Whether the output goes to systemd's journal, which adds the time itself and reads
    a priority prefix from each line.
    """

    clock: Clock
    out: Output | None = None
    level: LogLevel = "info"
    format: LogFormat = "text"
    on_record: Callable[[LogRecord], None] | None = None
    for_journald: bool = False
    _sequence: int = 0
    _records: dict[str, deque[tuple[int, LogRecord]]] = field(default_factory=dict)
    _last_written: dict[tuple[str, str], float] = field(default_factory=dict)
    _limiter: LogLimiter = field(default_factory=lambda: LogLimiter(THROTTLE_BURST))

    def write(self, level: Level, tunnel: str, message: str, hint: str = "") -> None:
        """Add a record.

        tunnel: the name of a tunnel, or empty for the supervisor itself. hint: what to do about it.
        """
        if LEVELS[level] < LEVELS[self.level]:
            return
        self.write_counts()
        self._write(level, tunnel, message, hint)

    def _write(self, level: Level, tunnel: str, message: str, hint: str = "") -> None:
        text, advice = printable(message, RECORD_LIMIT), printable(hint, RECORD_LIMIT)
        record = LogRecord(iso(self.clock.wall()), level, tunnel, text, advice)
        limit = MAX_RECORDS_PER_TUNNEL if tunnel else MAX_SUPERVISOR_RECORDS
        kept = self._records.setdefault(tunnel, deque(maxlen=limit))
        self._sequence += 1
        kept.append((self._sequence, record))
        self._print(record)
        if self.on_record is not None:
            self.on_record(record)

    def write_throttled(
        self, level: Level, tunnel: str, message: str, kind: str = "", hint: str = ""
    ) -> None:
        """Add a record that can be very frequent, such as one per refused client.

        The same message is written once in a while. kind: what messages with text of a client or a
        server have in common. They are counted from THROTTLE_BURST a minute on. hint: what to do
        about it.
        """
        now = self.clock.monotonic()
        if len(self._last_written) > MAX_SUPERVISOR_RECORDS:
            self._last_written.clear()
        if now - self._last_written.get((tunnel, message), -THROTTLE_INTERVAL) < THROTTLE_INTERVAL:
            return
        self._last_written[tunnel, message] = now
        self.write_counts()
        if LEVELS[level] >= LEVELS[self.level] and self._limiter.admits(
            (tunnel, kind, level), message, now
        ):
            self._write(level, tunnel, message, hint)

    def write_counts(self) -> None:
        """Write how many messages were not, in the minutes that have ended."""
        due = self._limiter.next_due
        now = self.clock.monotonic()
        if due is None or now < due:
            return
        for summary in self._limiter.summaries(now):
            tunnel, kind, level = summary.key or ("", "other messages", "warning")
            what = f"{kind}: " if kind else ""
            text = f"{what}{summary.count:,} more in the last minute, the last: {summary.last}"
            self._write("error" if level == "error" else "warning", tunnel, text)

    def tail(self, tunnel: str | None, lines: int) -> list[LogRecord]:
        """Return the newest records of a tunnel, newest last; of everything if tunnel is None."""
        if lines <= 0:
            return []
        if tunnel is not None:
            kept = list(self._records.get(tunnel, ()))
        else:
            kept = sorted(chain.from_iterable(self._records.values()), key=lambda pair: pair[0])
        return [record for _, record in kept[-lines:]]

    def forget(self, tunnel: str) -> None:
        """Drop the records of a tunnel that was removed from the configuration."""
        self._records.pop(tunnel, None)

    def describe_loss(self, count: int) -> str:
        """Return the line for lines that could not be written. `tail` still returns them."""
        text = f"{loss_text(count)}: the log could not be written"
        return self._format(LogRecord(iso(self.clock.wall()), "warning", "", text)) + "\n"

    def _print(self, record: LogRecord) -> None:
        if self.out is None:
            return
        try:
            self.out.write(self._format(record) + "\n")
            self.out.flush()
        except (OSError, ValueError):
            # A full disk or a closed terminal must not stop the tunnels; `logs` keeps the record.
            return

    def _format(self, record: LogRecord) -> str:
        if not self.for_journald:
            return "\n".join(format_lines(record, self.format))
        lines = record.lines if self.format == "text" else format_lines(record, self.format)
        return "\n".join(journal_prefix(record.level) + line for line in lines)


def format_lines(record: LogRecord, form: LogFormat) -> list[str]:
    """Return a record as lines of the log: one of JSON, or text with a second one for the hint.

    Text has local times, JSON UTC.
    """
    if form == "json":
        return [msgspec.json.encode(record).decode("utf-8")]
    return record_lines(record)


class EventLogHandler(logging.Handler):
    """A logging handler that copies warnings and errors of all loggers into the event log."""

    def __init__(self, event_log: EventLog) -> None:
        super().__init__(logging.WARNING)
        self._event_log = event_log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. Reduce a traceback to the exception's type and message.

        `extra={"hint": ...}` of the logging call is its hint.
        """
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text += f": {type(error).__name__}: {error}"
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        self._event_log.write_throttled(level, "", text, hint=getattr(record, "hint", ""))


LOGGERS = ("tunnelkeeper", "asyncio")


def redirect_loggers(event_log: EventLog) -> None:
    """Send the records of our loggers and asyncio's to the event log."""
    handler = EventLogHandler(event_log)
    for logger in map(logging.getLogger, LOGGERS):
        logger.handlers = [handler]
        logger.propagate = False


@contextmanager
def redirected_loggers(event_log: EventLog) -> Iterator[None]:
    """Redirect the loggers while the body runs. Afterwards `-v` can show a traceback again."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    redirect_loggers(event_log)
    try:
        yield
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
