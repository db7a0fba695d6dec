"""The thin line with a title that stands above each pane; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.text_width import Line, fitted, line_width

if TYPE_CHECKING:
    from tunnelkeeper.dashboard.glyphs import Glyphs


def rule(title: Line, after: Line, cells: int, signs: Glyphs) -> Line:
    """A title in a line of its own, with something more at the right where it fits."""
    begin: Line = [("class:rule", signs.rule), ("", " "), *title, ("", " ")]
    end: Line = [("", " "), *after, ("", " "), ("class:rule", signs.rule)] if after else []
    between = cells - line_width(begin) - line_width(end)
    if between < 1:
        between, end = cells - line_width(begin), []
    return fitted([*begin, ("class:rule", signs.rule * max(0, between)), *end], cells, "")
