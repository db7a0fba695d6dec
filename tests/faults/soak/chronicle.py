"""What happened in a soak run, in order: the whole in a file, the last of it at hand."""

from __future__ import annotations

import sys
import time
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

AT_HAND = 40
"""Events that are printed when something is wrong."""


class Chronicle:
    """Takes sentences of any thread. aloud: they are printed as well, but for the small ones."""

    def __init__(self, file: Path, *, aloud: bool) -> None:
        self._began = time.monotonic()
        self._file = file
        self._aloud = aloud
        self._last: deque[str] = deque(maxlen=AT_HAND)
        self._lock = Lock()

    def tell(self, sentence: str) -> None:
        """Record an action or a finding."""
        self._write(sentence)
        if self._aloud:
            sys.stderr.write(f"{self._now()}  {sentence}\n")

    def note(self, sentence: str) -> None:
        """Record an observation, of interest if something goes wrong."""
        self._write(sentence)

    def last(self) -> list[str]:
        """Return the last events, with seconds since the beginning."""
        with self._lock:
            return list(self._last)

    def _write(self, sentence: str) -> None:
        with self._lock:
            line = f"{self._now()}  {sentence}"
            self._last.append(line)
            with self._file.open("a") as file:
                file.write(f"{line}\n")

    def _now(self) -> str:
        return f"{time.monotonic() - self._began:8.1f}"
