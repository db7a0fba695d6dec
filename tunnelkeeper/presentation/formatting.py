"""Durations, times, byte counts and suggestions as people read them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tunnelkeeper.core.snapshot import LogRecord

_DAY, _HOUR, _MINUTE = 86400, 3600, 60


def format_duration(seconds: float) -> str:
    """Return seconds in their two largest units: 4s, 3m 12s, 2h 5m, 3d 4h. Negative is 0s."""
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


def format_size(count: int) -> str:
    """Return bytes in decimal units: 999 B, 1.2 kB, 15 kB, 3.4 GB."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        # 999.5 would print as 1000, so the next unit takes over.
        if amount < 999.5 or unit == "PB":
            break
        amount /= 1000
    # 9.95 with one decimal would print as 10.0.
    return f"{amount:.1f} {unit}" if unit != "B" and amount < 9.95 else f"{amount:.0f} {unit}"


def parse_time(text: str) -> datetime:
    """Parse an ISO 8601 time of a snapshot. Without a zone it is UTC."""
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def format_moment(moment: datetime, *, utc: bool = False) -> str:
    """Return a moment for logs: ISO 8601 with the offset of the local time zone, or in UTC."""
    zoned = moment.astimezone(UTC if utc else None)
    return zoned.isoformat(timespec="seconds").replace("+00:00", "Z")


def record_lines(record: LogRecord, *, utc: bool = False) -> list[str]:
    """Return a record of the log as lines: its message, and its hint if there is one.

    Both lines have the time, the level and the tunnel. A record without a time has neither.
    """
    if not record.at:
        return record.lines
    moment = format_moment(parse_time(record.at), utc=utc)
    return [f"{moment} {record.level:<7} {line}" for line in record.lines]


def time_since(text: str, now: datetime) -> str:
    """Return how long ago an ISO 8601 time was."""
    return format_duration((now - parse_time(text)).total_seconds())


def format_last_seen(text: str, now: datetime, *, utc: bool = False) -> str:
    """Return `last seen 2026-11-22 11:04, 3 h ago` for an ISO 8601 time, in local time or UTC."""
    moment = parse_time(text)
    seconds = max(0, int((now - moment).total_seconds()))
    units = ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s"))
    size, unit = next((pair for pair in units if seconds >= pair[0]), units[-1])
    shown = moment.astimezone(UTC if utc else None)
    return f"last seen {shown:%Y-%m-%d %H:%M}, {seconds // size} {unit} ago"


def time_until(text: str, now: datetime) -> str:
    """Return the time left until an ISO 8601 time; 0s when it has passed."""
    return format_duration((parse_time(text) - now).total_seconds())


def format_short_size(count: float) -> str:
    """Return bytes in at most four cells, for columns: 999, 1.2k, 15k, 999M."""
    return format_size(int(count)).replace(" ", "").removesuffix("B")


def format_milliseconds(amount: float) -> str:
    """Return a round trip: 0.3 ms, 12 ms, 1.2 s."""
    if amount >= 999.5:
        return f"{amount / 1000:.1f} s"
    return f"{amount:.1f} ms" if amount < 9.95 else f"{amount:.0f} ms"


def format_time_left(text: str, now: datetime) -> str:
    """Return the time left until an ISO 8601 time in its largest unit: 4s, 12m, 23h, 400d."""
    return time_until(text, now).partition(" ")[0]


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that is most like an unknown one, or an empty string."""
    return next(iter(get_close_matches(word, list(known), n=1)), "")
