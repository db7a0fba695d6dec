"""The table of docs/reliability.md, made of what the fault tests say that they prove.

    python -m tests.faults.table            print it
    python -m tests.faults.table --write    put it into the document, between its markers

It runs no test.
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

    from tests.faults.proof import Proof

HERE = Path(__file__).parent
DOCUMENT = HERE.parent.parent / "docs" / "reliability.md"
BEGIN, END = markers("faults")
HEAD = ("Fault", "`status` says", "noticed within", "data flows again within")


def proofs() -> Iterator[Proof]:
    """Yield what the fault tests prove: by file, and in it from top to bottom."""
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        for value in vars(module).values():
            for mark in getattr(value, "pytestmark", []):
                if mark.name == "proves":
                    yield mark.args[0]


def table() -> str:
    """Return the proofs as a Markdown table."""
    return markdown(HEAD, (proof.row for proof in proofs()))


def written_into(text: str) -> str:
    """Put the table between the markers of a document.

    Raises ValueError where the markers are missing.
    """
    return put_between(BEGIN, END, text, table())


def main(arguments: list[str]) -> None:
    """Print the table, or write it down."""
    if arguments == ["--write"]:
        DOCUMENT.write_text(written_into(DOCUMENT.read_text()))
    elif arguments:
        sys.exit("usage: python -m tests.faults.table [--write]")
    else:
        sys.stdout.write(f"{table()}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
