"""The events of a soak run in order: all of them in a file, the last ones in memory."""

from __future__ import annotations

import sys
import time
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

KEPT_IN_MEMORY = 40
"""The number of last events, which are printed on a violation."""


class EventRecord:
    """Records sentences from any thread. verbose: `report` prints them as well."""

    def __init__(self, file: Path, *, verbose: bool) -> None:
        self._started = time.monotonic()
        self._file = file
        self._verbose = verbose
        self._last: deque[str] = deque(maxlen=KEPT_IN_MEMORY)
        self._lock = Lock()

    def report(self, sentence: str) -> None:
        """Record an action or a finding."""
        self._write(sentence)
        if self._verbose:
            sys.stderr.write(f"{self._now()}  {sentence}\n")

    def add(self, sentence: str) -> None:
        """Record an observation that only matters if a check fails."""
        self._write(sentence)

    def last(self) -> list[str]:
        """Return the last events, with seconds since the start."""
        with self._lock:
            return list(self._last)

    def _write(self, sentence: str) -> None:
        with self._lock:
            line = f"{self._now()}  {sentence}"
            self._last.append(line)
            with self._file.open("a") as file:
                file.write(f"{line}\n")

    def _now(self) -> str:
        return f"{time.monotonic() - self._started:8.1f}"
