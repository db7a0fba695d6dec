"""The table of docs/reliability.md, made of the expectations of the fault tests.

    python -m tests.faults.table            print it
    python -m tests.faults.table --write    write it between the markers of the document

This module runs no test.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from docs.sections import markers, put_between
from docs.tables import markdown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.expectation import Expectation

HERE = Path(__file__).parent
DOCUMENT = HERE.parent.parent / "docs" / "reliability.md"
BEGIN, END = markers("faults")
HEAD = ("Fault", "`status` reports", "reported within", "data flows again within")


def expectations() -> Iterator[Expectation]:
    """Yield the expectations of all fault tests, by file name and then in source order."""
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        for value in vars(module).values():
            for mark in getattr(value, "pytestmark", []):
                if mark.name == "expects":
                    yield mark.args[0]


def table() -> str:
    """Return the expectations as a Markdown table."""
    return markdown(HEAD, (expectation.row for expectation in expectations()))


def written_into(text: str) -> str:
    """Put the table between the markers of a document.

    Raises ValueError if the markers are missing.
    """
    return put_between(BEGIN, END, text, table())


def main(arguments: list[str]) -> None:
    """Print the table, or write it into the document."""
    if arguments == ["--write"]:
        DOCUMENT.write_text(written_into(DOCUMENT.read_text()))
    elif arguments:
        sys.exit("usage: python -m tests.faults.table [--write]")
    else:
        sys.stdout.write(f"{table()}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
