"""A tmux terminal for a program: send keys, and wait for screen contents."""

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

SCREEN_TIMEOUT = 30.0
"""Seconds for a screen update after a key or an event, on a busy machine."""


class Terminal:
    """One tmux server with one window of the given size."""

    def __init__(self, socket: Path, columns: int, rows: int) -> None:
        self._tmux = [require("tmux"), "-S", str(socket), "-f", os.devnull]
        self._size = ["-x", str(columns), "-y", str(rows)]

    def run(self, command: list[str], environment: Mapping[str, str]) -> None:
        """Run a program; its window stays open after its end."""
        settings = [f"{name}={value}" for name, value in environment.items()]
        line = shlex.join(["env", "-i", *settings, "TERM=tmux-256color", *command])
        line += "; echo ended with $?; exec sleep 1000"
        self._tmux_command("new-session", "-d", *self._size, line)

    def press(self, *keys: str) -> None:
        """Press keys, by their tmux names: x, Enter, Escape, Down."""
        self._tmux_command("send-keys", *keys)

    def write(self, text: str) -> None:
        """Type a literal text."""
        self._tmux_command("send-keys", "-l", text)

    def resize(self, columns: int, rows: int) -> None:
        """Resize the window."""
        self._tmux_command("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self, *, coloured: bool = False) -> str:
        """Return the text of the screen. coloured: with escape sequences."""
        return self._tmux_command("capture-pane", "-p", *(["-e", "-N"] if coloured else []))

    def wait_for_text(self, *texts: str, without: str = "\0") -> str:
        """Wait until the screen shows all texts and not the excluded one; return it."""
        return self.wait_for_screen(
            lambda text: all(expected in text for expected in texts) and without not in text,
            f"{texts} without {without!r}",
        )

    def wait_for_screen(self, condition: Callable[[str], object], description: str) -> str:
        """Wait until the screen meets the condition; return it."""
        seen = [""]

        def matches() -> str | None:
            seen[0] = self.screen()
            return seen[0] if condition(seen[0]) else None

        return wait_until(matches, SCREEN_TIMEOUT, lambda: f"{description}:\n{seen[0]}")

    def close(self) -> None:
        """End tmux and its programs."""
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)

    def _tmux_command(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], check=True, capture_output=True, text=True, timeout=20
        )
        return done.stdout
