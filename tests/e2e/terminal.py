"""A terminal that a program runs in: tmux, by keys and by what is on the screen."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

from tests.e2e.waiting import wait_until
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

WITHIN = 30.0
"""Seconds for a screen to show what a key or the supervisor did, on a machine that is busy."""


class Terminal:
    """One tmux server with one window of this size."""

    def __init__(self, socket: Path, columns: int, rows: int) -> None:
        self._tmux = [require("tmux"), "-S", str(socket), "-f", os.devnull]
        self._size = ["-x", str(columns), "-y", str(rows)]

    def run(self, command: list[str], environment: Mapping[str, str]) -> None:
        """Run a program; its window stays when it has ended."""
        settings = [f"{name}={value}" for name, value in environment.items()]
        line = shlex.join(["env", "-i", *settings, "TERM=tmux-256color", *command])
        line += "; echo ended with $?; exec sleep 1000"
        self._do("new-session", "-d", *self._size, line)

    def press(self, *keys: str) -> None:
        """Press keys, by their names in tmux: x, Enter, Escape, Down."""
        self._do("send-keys", *keys)

    def write(self, text: str) -> None:
        """Type a text as it stands."""
        self._do("send-keys", "-l", text)

    def resize(self, columns: int, rows: int) -> None:
        """Give the window another size."""
        self._do("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self, *, coloured: bool = False) -> str:
        """Return the text of the screen. coloured: with its escape sequences."""
        return self._do("capture-pane", "-p", *(["-e", "-N"] if coloured else []))

    def shows(self, *words: str, without: str = "\0") -> str:
        """Wait until the screen has all these words and not that one; return it."""
        return self.becomes(
            lambda text: all(word in text for word in words) and without not in text,
            f"{words} without {without!r}",
        )

    def becomes(self, so: Callable[[str], object], what: str) -> str:
        """Wait until the screen meets the condition; return it."""
        seen = [""]

        def is_so() -> str | None:
            seen[0] = self.screen()
            return seen[0] if so(seen[0]) else None

        return wait_until(is_so, WITHIN, lambda: f"{what}:\n{seen[0]}")

    def close(self) -> None:
        """End tmux and what runs in it."""
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)

    def _do(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], check=True, capture_output=True, text=True, timeout=20
        )
        return done.stdout
