"""Durations, times, byte counts and suggestions as people read them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_DAY, _HOUR, _MINUTE = 86400, 3600, 60


def duration(seconds: float) -> str:
    """Seconds in the two largest units that matter: 4s, 3m 12s, 2h 5m, 3d 4h. Negative is 0s."""
    whole = max(0, int(seconds))
    for unit, name, below, name_below in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "m"),
        (_MINUTE, "m", 1, "s"),
    ):
        if whole >= unit:
            rest = whole % unit // below
            return f"{whole // unit}{name} {rest}{name_below}" if rest else f"{whole // unit}{name}"
    return f"{whole}s"


def size(count: int) -> str:
    """Bytes in decimal units: 999 B, 1.2 kB, 15 kB, 3.4 GB."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        # 999.5 would print as 1000: the next unit says it better.
        if amount < 999.5 or unit == "PB":
            break
        amount /= 1000
    # The same at 9.95, which one decimal would print as 10.0.
    return f"{amount:.1f} {unit}" if unit != "B" and amount < 9.95 else f"{amount:.0f} {unit}"


def moment(text: str) -> datetime:
    """An ISO 8601 time of a snapshot; UTC where it names no zone."""
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def ago(text: str, now: datetime) -> str:
    """How long ago an ISO 8601 time was."""
    return duration((now - moment(text)).total_seconds())


def until(text: str, now: datetime) -> str:
    """How long it is to an ISO 8601 time; 0s when it has come."""
    return duration((moment(text) - now).total_seconds())


def short_size(count: float) -> str:
    """Bytes in at most four cells, for columns: 999, 1.2k, 15k, 999M."""
    return size(int(count)).replace(" ", "").removesuffix("B")


def milliseconds(amount: float) -> str:
    """A round trip: 0.3 ms, 12 ms, 1.2 s."""
    if amount >= 999.5:
        return f"{amount / 1000:.1f} s"
    return f"{amount:.1f} ms" if amount < 9.95 else f"{amount:.0f} ms"


def left_until(text: str, now: datetime) -> str:
    """How long it is to an ISO 8601 time, in the largest unit alone: 4s, 12m, 23h, 400d."""
    return until(text, now).partition(" ")[0]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """How a complaint about a word goes on: `; did you mean 'status'?`, or not at all."""
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
