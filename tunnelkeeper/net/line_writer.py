"""Lines of a log, written by a thread. A full pipe or disk, or one that hangs, delays no caller.

It formats nothing and opens nothing; the sinks of `line_sinks` do.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LIMIT = 2000
"""Lines that wait to be written. More than any burst of a log, and a few megabytes at most."""

CLOSE_TIMEOUT = 1.0
"""Seconds in which the last lines have to be written when the program exits."""

PAUSE_TIMEOUT = 0.5
"""Seconds in which lines that wait should be written before a pause."""

INFO, WARNING = 6, 4
"""The levels of syslog(3) for lines without one, and for the report of lost lines."""


class Sink(Protocol):
    """The destination of lines. Only the thread of one writer uses it."""

    def write(self, line: str, level: int) -> None:
        """Write a line, and block as long as that takes. level: of syslog(3).

        Raises:
            OSError: The line is lost.
        """


class LineWriter:
    """A bounded queue of lines, and the daemon thread that writes them.

    If the queue is full, the oldest line is lost. Lost lines are counted and reported by a line of
    their own as soon as writing works again. It can be used as the stream of a logging handler.

    describe_loss: Returns the line that reports how many lines were lost. None: not reported.
    """

    def __init__(
        self, sink: Sink, describe_loss: Callable[[int], str] | None, limit: int = LIMIT
    ) -> None:
        self._sink = sink
        self._describe_loss = describe_loss
        self._limit = limit
        self._queue: deque[tuple[str, int]] = deque()
        self._lost = 0
        self._is_writing = False
        self._is_closing = False
        self._pauses = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def write(self, line: str, level: int = INFO) -> int:
        """Queue a line that ends with a newline. Return its length."""
        with self._changed:
            self._is_closing = False
            if len(self._queue) >= self._limit:
                self._queue.popleft()
                self._lost += 1
            self._queue.append((line, level))
            self._changed.notify_all()
            if self._thread is None:
                self._start()
        return len(line)

    @property
    def is_idle(self) -> bool:
        """Whether no line waits or is being written."""
        with self._changed:
            return not (self._queue or self._is_writing)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Write nothing while the body runs, so that a person can read and type there.

        Lines that wait already are written first, if that takes no longer than PAUSE_TIMEOUT.
        `close` ends the pause.
        """
        with self._changed:
            self._changed.wait_for(lambda: not (self._queue or self._is_writing), PAUSE_TIMEOUT)
            self._pauses += 1
        try:
            yield
        finally:
            with self._changed:
                self._pauses -= 1
                self._changed.notify_all()

    def flush(self) -> None:
        """Do nothing: the thread writes each line at once."""

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Wait until all lines are written, but no longer than the timeout, and end the thread.

        The program must close a writer before it forks, and call `after_fork` in the child. A later
        line starts a new thread.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            thread, self._is_closing = self._thread, True
            self._changed.notify_all()
        if thread is not None:
            thread.join(max(0.0, deadline - time.monotonic()))

    def after_fork(self) -> None:
        """Continue in the child: the thread exists in the parent only, even while it is blocked."""
        self._changed = threading.Condition()
        self._thread = None
        self._lost += self._is_writing
        self._is_writing = False
        with self._changed:
            if self._queue:
                self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="log writer", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no thread can be started now; the next line tries again
            self._thread = None

    def _run(self) -> None:
        while (item := self._next()) is not None:
            lost, (line, level) = item
            try:
                if lost and self._describe_loss is not None:
                    self._sink.write(self._describe_loss(lost), WARNING)
                lost = 0
                self._sink.write(line, level)
            except (OSError, ValueError):  # ValueError: a stream that is closed
                lost += 1
            with self._changed:
                self._lost += lost
                self._is_writing = False
                self._changed.notify_all()

    def _next(self) -> tuple[int, tuple[str, int]] | None:
        """Wait for the next line. Return it with the number of lost lines, or None at the end."""
        with self._changed:
            while not self._queue or (self._pauses and not self._is_closing):
                if self._is_closing:
                    self._thread = None
                    return None
                self._changed.wait()
            lost, self._lost = self._lost, 0
            self._is_writing = True
            return lost, self._queue.popleft()


def loss_text(count: int) -> str:
    """Return the text that reports lost lines."""
    return "1 line was lost" if count == 1 else f"{count} lines were lost"


def close_all(writers: Iterable[LineWriter], timeout: float = CLOSE_TIMEOUT) -> None:
    """Close several writers, all together within the timeout."""
    deadline = time.monotonic() + timeout
    for writer in writers:
        writer.close(max(0.0, deadline - time.monotonic()))


def call_bounded(function: Callable[[], None], timeout: float) -> bool:
    """Call a function that may block. Return whether it ended in time; otherwise it runs on.

    Raises what the function raises in time.
    """
    errors: list[Exception] = []

    def call() -> None:
        try:
            function()
        except Exception as error:  # noqa: BLE001  raised below
            errors.append(error)

    thread = threading.Thread(target=call, name="bounded call", daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        return False
    for error in errors:
        raise error
    return True
