"""The pages that stand in place of the table: the keys and commands, and other long texts; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.glyphs import pane_title
from tunnelkeeper.dashboard.text_width import Line, align_left, fit_line, wrap

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import StateName
    from tunnelkeeper.dashboard.glyphs import Glyphs
    from tunnelkeeper.dashboard.ui_state import Reading

KEYS = (
    ("up down, j k", "move; PageUp PageDown, g G: by pages, to the ends"),
    ("Enter", "detail of the tunnel: hops, forwards, failure, traffic"),
    ("s  x  r", "start, stop, restart the tunnel, or all marked ones"),
    ("p", "restart gracefully: connect anew first, and let transfers finish"),
    ("w", "try now what waits to be tried again"),
    ("Space  a", "mark the tunnel; mark all that are shown, or none"),
    ("R", "reload: read the config file again"),
    ("/", "filter as you type: words, state=up,backoff, group=work"),
    ("o  O", "sort by the next column; the other way round"),
    ("l", "the log: of all, of the chosen tunnel, none"),
    ("f", "find in the log; [ ] scroll it back and forth"),
    (":", "a command line: Tab completes"),
    ("Esc", "takes back: a page, marks, the search, the filter"),
    ("u", "start a supervisor where none runs"),
    ("q, Ctrl-C", "leave; the supervisor goes on"),
)
COMMANDS = (
    (":start :stop :restart :retry", "NAME..., group=G or all; without one, the chosen"),
    (":restart --graceful", "the same: connect anew first, and let transfers finish"),
    (":filter :find", "TEXT; empty takes it away"),
    (":sort", "COLUMN, once more for the other way round"),
    (":log", "all, off or NAME"),
    (":go", "NAME"),
    (":reload :help :quit", ""),
)
STATES: tuple[tuple[StateName, str], ...] = (
    ("up", "connected, and every forward listens"),
    ("degraded", "connected, and a forward does not work yet"),
    ("connecting", "on the way"),
    ("backoff", "waits to try again, in so many seconds"),
    ("blocked", "a person must act; tried again every five minutes"),
    ("stopping", "on the way down"),
    ("stopped", "nobody wants it up"),
)
KEY_WIDTH = 30


def help_lines(glyphs: Glyphs) -> tuple[str, ...]:
    """All keys and commands, and what the glyphs mean."""
    lines = ["Keys", *(_format_entry(*each) for each in KEYS), ""]
    lines += ["Commands", *(_format_entry(*each) for each in COMMANDS), ""]
    lines += ["States", *(_format_entry(f"{glyphs.states[s]} {s}", what) for s, what in STATES), ""]
    lines += ["The mouse chooses a tunnel, sorts by a title, scrolls, and presses the keys below."]
    return tuple(lines)


def render_page(reading: Reading, cells: int, height: int, glyphs: Glyphs) -> list[Line]:
    """A page with its rule, of exactly so many lines."""
    lines = [line for text in reading.lines for line in _wrap_paragraph(text, cells - 4)]
    top = max(0, min(reading.top, len(lines) - (height - 1)))
    more = [("class:quiet", "more below")] if len(lines) - top > height - 1 else []
    seen = lines[top : top + height - 1]
    seen += [""] * (height - 1 - len(seen))
    body = [fit_line([("", f"  {text}")], cells, glyphs.ellipsis) for text in seen]
    return [pane_title([("class:title", reading.title)], more, cells, glyphs), *body]


def _format_entry(key: str, what: str) -> str:
    return f"  {align_left(key, KEY_WIDTH, '')} {what}"


def _wrap_paragraph(text: str, cells: int) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()))
    return [indent + line for line in wrap(text.strip(), cells - len(indent))]
