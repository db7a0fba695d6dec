"""Remembers the log files of what runs now, for the report of a test that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_logs: dict[Path, str] = {}

TAIL = 16_000
"""Characters of each log that a report shows."""


def keep(title: str, log: Path) -> None:
    """Show this file's end under the title when a test fails from now on."""
    _logs[log] = title


def forget(log: Path) -> None:
    """Show this file no more."""
    _logs.pop(log, None)


def sections() -> list[tuple[str, str]]:
    """Title and text of every log that has any."""
    texts = [(title, _tail(log)) for log, title in _logs.items() if log.exists()]
    return [(title, text) for title, text in texts if text]


def _tail(log: Path) -> str:
    return log.read_text(errors="backslashreplace")[-TAIL:]
