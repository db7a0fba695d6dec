"""A program that prints an answer: its first line is a secret, its standard error is logged."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from tunnelkeeper.core.questions import MAX_ANSWER_SIZE
from tunnelkeeper.core.secret import Secret
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.child_process import ChildProcess, LineSplitter

if TYPE_CHECKING:
    from collections.abc import Callable

OUTPUT_TIMEOUT = 0.5
"""Seconds to read the remaining output after an exit; a child can hold it open."""

MAX_STDERR_LINES = 20
"""Logged lines of a program's standard error."""


class NoAnswerError(Exception):
    """A program printed no answer; the text is the reason."""


class PrintedAnswer(ChildProcess):
    """A running program, with the first line of its output. Nothing more of it is kept.

    log: gets the lines of its standard error, printable, a few at most. on_exit: called when the
    program has exited.
    """

    def __init__(
        self, log: Callable[[str], None], on_exit: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__()
        self._line = bytearray()
        self._is_complete = False
        self._log = log
        self._on_exit = on_exit
        self._lines_left = MAX_STDERR_LINES
        self._last_error = ""
        self._errors = LineSplitter(self._log_line)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Keep the first line of the output, and log the standard error."""
        if fd != 1:
            if self._lines_left:
                self._errors.feed(data)
        elif not self._is_complete:
            part, newline, _ = data.partition(b"\n")
            self._line += part[: MAX_ANSWER_SIZE + 2 - len(self._line)]
            self._is_complete = bool(newline) or len(self._line) > MAX_ANSWER_SIZE + 1

    def process_exited(self) -> None:
        """Report the exit."""
        super().process_exited()
        self._on_exit()

    async def read_rest(self) -> None:
        """Read what the program has printed before its exit."""
        with suppress(TimeoutError):  # a child of it holds its output open
            async with asyncio.timeout(OUTPUT_TIMEOUT):
                await self.ended.wait()

    def answer(self) -> Secret:
        """Return the answer of a program that has exited, which may be empty.

        Raises NoAnswerError.
        """
        self._errors.end()
        code = self.returncode
        if code:
            how = f"exit status {code}" if code > 0 else f"it was ended by signal {-code}"
            raise NoAnswerError(f"{how}: {self._last_error}" if self._last_error else how)
        if self._line.endswith(b"\r"):
            del self._line[-1:]
        if len(self._line) > MAX_ANSWER_SIZE:
            limit = f"more than {MAX_ANSWER_SIZE} bytes"
            raise NoAnswerError(f"the first line of its output has {limit}")
        return Secret(bytes(self._line))

    async def end(self) -> None:
        """Wipe the output. End the program and its children if it still runs."""
        self._line[:] = bytes(len(self._line))
        self._line.clear()
        self._is_complete = True
        if self.exited.is_set():
            self.detach()
        else:
            await self.terminate()

    def _log_line(self, line: bytes) -> None:
        text = printable(line.decode("utf-8", "replace").strip())
        if not text or not self._lines_left:
            return
        self._lines_left -= 1
        self._last_error = text
        self._log(text if self._lines_left else f"{text} (further output is not logged)")
