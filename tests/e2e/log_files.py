"""The log files of running programs, for the report of a failing test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_logs: dict[Path, str] = {}

TAIL = 16_000
"""Characters of each log that a report shows."""


def add(title: str, log: Path) -> None:
    """Add a log file; reports show its end under the title."""
    _logs[log] = title


def remove(log: Path) -> None:
    """Remove a log file from reports."""
    _logs.pop(log, None)


def sections() -> list[tuple[str, str]]:
    """Return title and text of every log that is not empty."""
    texts = [(title, _tail(log)) for log, title in _logs.items() if log.exists()]
    return [(title, text) for title, text in texts if text]


def _tail(log: Path) -> str:
    return log.read_text(errors="backslashreplace")[-TAIL:]
