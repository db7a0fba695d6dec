"""Renders the pages that replace the table: the help, and other long texts. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.glyphs import pane_title
from tunnelkeeper.dashboard.text_width import Line, align_left, fit_line, wrap

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import StateName
    from tunnelkeeper.dashboard.glyphs import Glyphs
    from tunnelkeeper.dashboard.ui_state import Reading

KEYS = (
    ("up down, j k", "move; PageUp PageDown: page, g G: the ends"),
    ("Enter", "details: hops, forwards, failure, traffic"),
    ("s  x  r", "start, stop, restart the tunnel or marked"),
    ("p", "restart gracefully: transfers can finish"),
    ("w", "retry now, without waiting"),
    ("Space", "fold or unfold the group of the tunnel"),
    ("m, Insert  a", "mark the tunnel; mark all shown, or none"),
    ("A", "answer a question: passphrase, code, host key"),
    ("R", "reload the config file"),
    ("y", "copy the address of its forward; again: the next"),
    ("e", "edit the config file at the tunnel, then reload it"),
    ("/", "filter: words, state=up,backoff, group=work"),
    ("o  O", "sort by the next column; reverse the order"),
    ("!", "list tunnels that have a problem first"),
    ("l", "switch the log: all, selected tunnel, off"),
    ("f", "search the log; [ ] scroll it"),
    (":", "enter a command; Tab completes it"),
    ("Esc", "close the page; clear marks, search, filter"),
    ("u", "start a supervisor if none is running"),
    ("q, Ctrl-C", "quit; the supervisor keeps running"),
)
COMMANDS = (
    (":start :stop :restart :retry", "NAME..., group=G or all; default: selected"),
    (":restart --graceful", "the same as p"),
    (":filter :find", "TEXT; without TEXT, clear it"),
    (":sort", "COLUMN; repeat it to reverse the order"),
    (":log", "all, off or NAME"),
    (":go", "NAME"),
    (":fold :unfold", "GROUP; default: every group"),
    (":problems", "the same as !"),
    (":edit :reload :help :quit", ""),
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
KEY_WIDTH = 30


def help_lines(glyphs: Glyphs) -> tuple[str, ...]:
    """Return the help: keys, commands, and the glyphs of the states."""
    lines = ["Keys", *(_format_entry(*entry) for entry in KEYS), ""]
    lines += ["Commands", *(_format_entry(*entry) for entry in COMMANDS), ""]
    states = ((f"{glyphs.states[state]} {state}", meaning) for state, meaning in STATES)
    lines += ["States", *(_format_entry(*entry) for entry in states), ""]
    lines += ["The mouse selects, sorts by a title, scrolls, and presses the keys below."]
    return tuple(lines)


def render_page(reading: Reading, cells: int, height: int, glyphs: Glyphs) -> list[Line]:
    """Return a page with exactly `height` lines. The first line is its title."""
    lines = [line for text in reading.lines for line in _wrap_paragraph(text, cells - 4)]
    top = max(0, min(reading.first_line, len(lines) - (height - 1)))
    more = [("class:quiet", "more below")] if len(lines) - top > height - 1 else []
    shown = lines[top : top + height - 1]
    shown += [""] * (height - 1 - len(shown))
    body = [fit_line([("", f"  {text}")], cells, glyphs.ellipsis) for text in shown]
    return [pane_title([("class:title", reading.title)], more, cells, glyphs), *body]


def _format_entry(key: str, meaning: str) -> str:
    return f"  {align_left(key, KEY_WIDTH, '')} {meaning}"


def _wrap_paragraph(text: str, cells: int) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()))
    return [indent + line for line in wrap(text.strip(), cells - len(indent))]
