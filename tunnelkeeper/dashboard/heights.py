"""Divides the height of the screen among the table, the detail pane and the log. Pure."""

from __future__ import annotations

from dataclasses import dataclass

TWO_LINE_HEADER_HEIGHT = 20
"""Lines of the smallest screen whose header has two lines."""

TABLE_HEADING_LINES = 2
"""Lines above the first row of the table: its title and the titles of the columns."""

MIN_ROWS = 3
MIN_ROOM_FOR_THREE_PANES = 16
"""Lines below which an open detail pane replaces the log."""


@dataclass(frozen=True, slots=True)
class Heights:
    """Lines of each part of the screen. Their sum is the height of the screen."""

    header: int
    body: int
    detail: int
    log: int
    bar: int = 1


@dataclass(frozen=True, slots=True)
class DetailRoom:
    """Lines for the detail pane.

    Attributes:
        height: the most that it can take from the table and the log.
        comfortable_height: the most while every row of the table stays on the screen.
    """

    height: int
    comfortable_height: int


def detail_room(height: int, rows: int, *, has_log: bool) -> DetailRoom:
    """Return the lines for the detail pane on a screen of this height."""
    room = _room(height)
    log = _min_log(room, has_log=has_log, has_detail=True)
    most = max(0, room - _min_body(room, rows) - log)
    return DetailRoom(most, max(0, min(most, room - TABLE_HEADING_LINES - rows - log)))


def compute_heights(height: int, rows: int, detail_lines: int, *, has_log: bool) -> Heights:
    """Divide the screen among its parts.

    The table gets the lines that it needs if the log keeps a few. The log gets what is left.
    """
    header_lines = header_lines_of(height)
    room = _room(height)
    min_body = _min_body(room, rows)
    min_log = _min_log(room, has_log=has_log, has_detail=detail_lines > 0)
    min_log = min(min_log, room - min_body)
    detail = min(detail_lines, max(0, room - min_body - min_log))
    if not has_log:
        return Heights(header_lines, room - detail, detail, 0)
    body = max(min_body, min(TABLE_HEADING_LINES + rows, room - detail - min_log))
    return Heights(header_lines, body, detail, room - detail - body)


def header_lines_of(height: int) -> int:
    """Return the lines of the header on a screen of this height."""
    return 2 if height >= TWO_LINE_HEADER_HEIGHT else 1


def _room(height: int) -> int:
    """Return the lines between the header and the bar."""
    return max(0, height - header_lines_of(height) - 1)


def _min_body(room: int, rows: int) -> int:
    """Return the lines that the table keeps while other panes want more."""
    return min(TABLE_HEADING_LINES + min(rows, max(MIN_ROWS, room // 5)), room)


def _min_log(room: int, *, has_log: bool, has_detail: bool) -> int:
    """Return the lines that the log keeps: fewer beside a detail pane, which has events too."""
    if not has_log or (has_detail and room < MIN_ROOM_FOR_THREE_PANES):
        return 0
    return max(3, room // 6 if has_detail else room // 4)
