"""The controlling terminal: it reads answers, without echo where they are secret.

Like ssh it uses /dev/tty, so that a redirected standard input is left alone.
"""

from __future__ import annotations

import os
import select
import sys
import termios
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from tunnelkeeper.core.secret import Secret
from tunnelkeeper.presentation.text_layout import CONTINUATION_INDENT, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_PATH = "/dev/tty"
_LINE_SIZE = 64 * 1024
_DISABLED = b"\0"  # _POSIX_VDISABLE


class DeclinedError(Exception):
    """The person has ended the input (Ctrl-D) in place of an answer."""


class WithdrawnError(Exception):
    """The question was closed or asked again while it was being answered."""


class Terminal:
    """The terminal of this process, opened for questions. A context manager."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def open(cls) -> Terminal | None:
        """Return the terminal at which a person sits, or None.

        There is none without a terminal on stderr, and none for a process in the background: the
        first question would stop it.
        """
        if not sys.stderr.isatty():
            return None
        try:
            descriptor = os.open(_PATH, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            return None
        with suppress(OSError):
            if os.tcgetpgrp(descriptor) == os.getpgrp():
                return cls(descriptor)
        os.close(descriptor)
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the terminal."""
        os.close(self._descriptor)

    def write(self, text: str) -> None:
        """Write a text. It must be printable."""
        data = text.encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(self._descriptor, data) :]

    def show(self, lines: Iterable[str]) -> None:
        """Write lines of printable text, each wrapped at its blanks to the terminal's width."""
        try:
            columns = os.get_terminal_size(self._descriptor).columns
        except OSError:
            columns = 0
        for line in lines:
            parts = wrap(line, columns, CONTINUATION_INDENT) if columns else [line]
            self.write("".join(f"{part}\n" for part in parts))

    def ask(
        self,
        prompt: str,
        *,
        echo: bool,
        watched: int | None = None,
        is_withdrawn: Callable[[], bool] = lambda: False,
    ) -> Secret:
        """Read a line. Ctrl-Z does nothing meanwhile, so that echo is never left switched off.

        Args:
            prompt: What is shown before it.
            echo: Whether to show what is typed.
            watched: A descriptor; when it can be read, is_withdrawn is called.
            is_withdrawn: Returns whether the question has lapsed.

        Raises:
            DeclinedError, WithdrawnError: There is no answer.
        """
        with self._modes(echo=echo):
            self.write(prompt)
            has_line = False
            try:
                answer = self._read_line(watched, is_withdrawn)
                has_line = True
                return answer
            finally:
                if not (echo and has_line):  # no newline of the person is on the screen
                    self.write("\n")

    def _read_line(self, watched: int | None, is_withdrawn: Callable[[], bool]) -> Secret:
        descriptors = [self._descriptor] if watched is None else [self._descriptor, watched]
        while True:
            ready, _, _ = select.select(descriptors, [], [])
            if watched in ready and is_withdrawn():
                raise WithdrawnError
            if self._descriptor in ready:
                line = os.read(self._descriptor, _LINE_SIZE)
                if not line:
                    raise DeclinedError
                return Secret(line.removesuffix(b"\n"))

    @contextmanager
    def _modes(self, *, echo: bool) -> Iterator[None]:
        """Set the modes for one line, and restore them. What was typed before is discarded."""
        old = termios.tcgetattr(self._descriptor)
        new = termios.tcgetattr(self._descriptor)
        new[3] |= termios.ICANON | termios.ISIG
        if not echo:
            new[3] &= ~(termios.ECHO | termios.ECHONL)
        new[6][termios.VSUSP] = _DISABLED
        termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, new)
        try:
            yield
        finally:
            termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, old)
