"""The tables of `status` and `relay status`, fitted to the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tunnelkeeper.presentation.tunnel_text import HEADERS, Row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table
    from rich.text import Text

_COLOURS = {
    "up": "green",
    "degraded": "yellow",
    "connecting": "cyan",
    "stopping": "cyan",
    "backoff": "yellow",
    "blocked": "red",
    "stopped": "dim",
}
_UNBROKEN = frozenset({"NAME", "STATE", "SINCE", "IN / OUT"})


def tunnel_table(rows: Iterable[Row]) -> Table:
    """Return a table with a row for each tunnel, its state in colour."""
    from rich.text import Text

    def cells(row: Row) -> tuple[Text, ...]:
        colour = _COLOURS[row.state.partition("\n")[0]]
        rest = (row.host, row.forwards, row.since, row.traffic, row.failure)
        return Text(row.name), Text(row.state, colour), *map(Text, rest)

    return make_table(HEADERS, map(cells, rows), unbroken=_UNBROKEN)


def make_table(
    headers: Iterable[str], rows: Iterable[Iterable[Text]], unbroken: frozenset[str] = frozenset()
) -> Table:
    """Return a table. unbroken: the headers of columns that never wrap.

    Cells are Text, because rich would read [brackets] in a str as markup.
    """
    from rich.table import Table

    result = Table(box=None, pad_edge=False)
    for header in headers:
        result.add_column(header, no_wrap=header in unbroken, overflow="fold")
    for row in rows:
        result.add_row(*row)
    return result


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal. Elsewhere in full, without trailing blanks."""
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal:
        console.print(table)
        return
    widest = console.options.update(width=10_000)
    console.width = table.__rich_measure__(console, widest).maximum
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        click.echo(line.rstrip())
