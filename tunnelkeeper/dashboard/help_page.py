"""Renders the pages that replace the table: the help, and other long texts. Pure."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.glyphs import pane_title
from tunnelkeeper.dashboard.key_table import SECTIONS
from tunnelkeeper.dashboard.text_width import Line, align_left, fit_line, wrap

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import StateName
    from tunnelkeeper.dashboard.glyphs import Glyphs
    from tunnelkeeper.dashboard.key_table import Section
    from tunnelkeeper.dashboard.ui_state import Reading

COMMANDS = (
    (":start :stop :restart :retry", "NAME..., group=G or all; default: selected"),
    (":restart --graceful", "the same as p"),
    (":filter :find", "TEXT; without TEXT, clear it"),
    (":sort", "COLUMN; repeat it to reverse the order"),
    (":log", "all, off or NAME"),
    (":go", "NAME"),
    (":fold :unfold", "GROUP; default: every group"),
    (":problems :edit :reload", "the same as ! e R"),
    (":help :quit", ""),
)
STATES: tuple[tuple[StateName, str], ...] = (
    ("up", "connected, and every forward is listening"),
    ("degraded", "connected, but a forward does not work yet"),
    ("connecting", "opening the connection"),
    ("backoff", "waiting for the next attempt"),
    ("blocked", "needs your action; retried every 5 minutes"),
    ("stopping", "closing the connection"),
    ("stopped", "not started, or stopped on request"),
)
KEY_WIDTH = 24
COMMAND_WIDTH = 29


def help_lines(glyphs: Glyphs) -> tuple[str, ...]:
    """Return the help: keys, commands, and the glyphs of the states."""
    lines = [line for section in SECTIONS for line in _section_lines(section)]
    lines += ["Commands", *(_format_entry(*entry, COMMAND_WIDTH) for entry in COMMANDS), ""]
    states = ((f"{glyphs.states[state]} {state}", meaning) for state, meaning in STATES)
    lines += ["States", *(_format_entry(*entry, KEY_WIDTH) for entry in states), ""]
    lines.append("The mouse selects and opens a row, sorts by a title, scrolls, and")
    lines.append("presses the keys of the bottom line.")
    return tuple(lines)


def render_page(
    reading: Reading, cells: int, height: int, glyphs: Glyphs
) -> tuple[list[Line], int]:
    """Return a page with exactly `height` lines, and the index of its first line on the screen.

    The line above it is the title, with the position if the page is longer than the screen.
    """
    lines = [line for text in reading.lines for line in _wrap_paragraph(text, cells - 4)]
    room = max(0, height - 1)
    top = max(0, min(reading.first_line, len(lines) - room))
    shown = lines[top : top + room]
    right = format_position(top, len(shown), len(lines))
    shown += [""] * (room - len(shown))
    body = [fit_line([("", f"  {text}")], cells, glyphs.ellipsis) for text in shown]
    title = pane_title([("class:title", reading.title)], right, cells, glyphs)
    return [title, *body], top


def format_position(top: int, shown: int, total: int) -> Line:
    """Return which lines of a longer text are shown: `lines 1-20 of 52`. Empty if all are."""
    text = f"lines {top + 1}-{top + shown} of {total}"
    return [("class:quiet", text)] if shown < total else []


def _section_lines(section: Section) -> list[str]:
    """Return the title of a section and a line for each meaning, and a blank line."""
    lines = [f"{section.title}: {section.about}"]
    for meaning, keys in groupby(section.keys, lambda key: key.meaning):
        if meaning:
            shown = ", ".join(name for key in keys for name in key.shown.split())
            lines.append(_format_entry(shown, meaning, KEY_WIDTH))
    return [*lines, ""]


def _format_entry(key: str, meaning: str, width: int) -> str:
    return f"  {align_left(key, width, '')} {meaning}"


def _wrap_paragraph(text: str, cells: int) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()))
    return [indent + line for line in wrap(text.strip(), cells - len(indent))]
