"""Prints lines with styles: in colour on a terminal, plain elsewhere. It decides no layout."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console
    from rich.text import Text

    from tunnelkeeper.presentation.fitted_table import Line

# Of the 256 colours, these have a contrast of 3.5 or more to white, black and dark grey alike. The
# yellow and the green of many palettes do not have it to white. On a terminal with 16 colours, rich
# takes green, yellow, cyan and red.
_GREEN, _ORANGE, _CYAN, _RED = "color(28)", "color(166)", "color(31)", "color(196)"
_STYLES = {
    "heading": "bold",
    "name": "bold",
    "hint": _CYAN,
    "quiet": "dim",
    "state.up": _GREEN,
    "state.degraded": _ORANGE,
    "state.connecting": _CYAN,
    "state.stopping": _CYAN,
    "state.backoff": _ORANGE,
    "state.blocked": f"bold {_RED}",
    "state.stopped": "dim",
}


def terminal_width() -> int | None:
    """Return the cells of a line on the terminal, or None if the output is no terminal."""
    return make_console().width if sys.stdout.isatty() else None


def make_console() -> Console:
    """Return the terminal, which honours COLUMNS, NO_COLOR and TERM."""
    from rich.console import Console

    return Console(highlight=False)


def print_lines(lines: Iterable[Line]) -> None:
    """Print lines as they are: the terminal breaks one that is too long, and nothing cuts it."""
    if not sys.stdout.isatty():
        for line in lines:
            click.echo("".join(text for _, text in line))
        return
    console = make_console()
    for line in lines:
        console.print(styled_text(line), soft_wrap=True)


def styled_text(line: Line) -> Text:
    """Return a line in its colours. rich does not read [brackets] in it as markup."""
    from rich.text import Text

    return Text.assemble(*((text, _STYLES.get(style, "")) for style, text in line))
