"""The table that compares tunnelkeeper with other programs, in README and docs/performance.md.

It is made of figures that docs/performance.md and docs/reliability.md have already. The benchmarks
write it with `--write-docs`; `python -m docs.comparison --write` does it alone.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from docs.sections import markers, put_between
from docs.tables import markdown, read_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docs.tables import Row

ROOT = Path(__file__).parent.parent
PERFORMANCE, RELIABILITY = Path("docs/performance.md"), Path("docs/reliability.md")
PAGES = (Path("README.md"), PERFORMANCE)
BEGIN, END = markers("comparison")
OURS, AUTOSSH = "tunnelkeeper", "autossh + ssh"
NOT_MEASURED = ""
NEVER = "never"
"""The time in which a program recovers that ends with its connection: ssh, also as a master."""

REFUSED = "sshd is killed, its port refuses"
OUTAGES = {
    "30": "data flows again, after 30 s without the server",
    "60": "data flows again, after 1 minute without it",
    "120": "data flows again, after 2 minutes without it",
}
"""Rows of the recovery table by their seconds, and their names here."""

ROWS = {
    "memory of a further tunnel": "memory of a further tunnel",
    "tunnels brought up": "tunnels brought up",
    "one stream, up": "one stream, to the server",
    "one stream, down": "one stream, from the server",
    "100 ms away, down": "one stream, from a server 100 ms away",
    "round trip of 64 bytes, p50": "round trip of 64 bytes, median",
    "connections, 50 at once": "new connections, 50 at once",
    "client CPU, down": "processor time of a download",
}
"""Rows of docs/performance.md, and their names here."""

NAMES = {
    "ssh -c aes128-gcm": "ssh, AES-GCM",
    "ssh -O forward": "ssh, ControlMaster",
    AUTOSSH: "autossh",
}
"""Names of programs here, if they differ from those in docs/performance.md."""

LEADING = OUTAGES["120"]
"""The row that README begins with."""

SENTENCE = re.compile(
    r"(data flows again )[\d.]+( seconds after its\s+return, "
    r"and with autossh after )[\d.]+( seconds)"
)
"""The sentence of README with the figures of that row."""

Figures = dict[str, str]
"""The figures of a row by the program that they are of."""


def table(pages: Mapping[Path, str]) -> str:
    """Return the comparison as Markdown, from the texts of PERFORMANCE and RELIABILITY."""
    measured = _performance(pages[PERFORMANCE])
    others = dict.fromkeys(name for row in measured.values() for name in row)
    programs = sorted({OURS: None, **others}, key=lambda name: (name != OURS, name == AUTOSSH))
    never = {name: NEVER for name in programs if name.startswith("ssh")}
    rows = {what: never | row for what, row in _recovery(pages[RELIABILITY])} | measured
    cells = (
        [what, *(row.get(name, NOT_MEASURED) for name in programs)] for what, row in rows.items()
    )
    head = ["", *(NAMES.get(name, name) for name in programs)]
    return markdown(head, cells, to_the_right=head[1:])


def written_into(page: str, pages: Mapping[Path, str]) -> str:
    """Replace the comparison in a page, and the figures of its sentence if it has that.

    Raises ValueError if a marker is missing.
    """
    leading = dict(_recovery(pages[RELIABILITY]))[LEADING]
    ours, theirs = (leading[name].removesuffix(" s") for name in (OURS, AUTOSSH))
    page = SENTENCE.sub(rf"\g<1>{ours}\g<2>{theirs}\g<3>", page)
    return put_between(BEGIN, END, page, table(pages))


def write(root: Path = ROOT) -> None:
    """Write the comparison into the pages that have it."""
    pages = {path: _read(root / path) for path in (PERFORMANCE, RELIABILITY)}
    for path in PAGES:
        page = root / path
        page.write_text(written_into(_read(page), pages), encoding="utf-8")


def _recovery(page: str) -> Iterator[tuple[str, Figures]]:
    for row in read_tables(page, "Recovery compared with autossh"):
        if row["Outage"] == REFUSED and (what := OUTAGES.get(row["seconds"])):
            yield what, {OURS: row["tunnelkeeper, median"], AUTOSSH: row["autossh, median"]}


def _performance(page: str) -> dict[str, Figures]:
    figures: dict[str, Figures] = {}
    for row in _measured(page):
        own = figures.setdefault(row["what"], {OURS: row[OURS]})
        own[row["against"]] = row["other"]
    return {name: figures[what] for what, name in ROWS.items() if what in figures}


def _measured(page: str) -> Iterator[Row]:
    """Yield the rows with another program, reached or missed."""
    for heading in ("What is reached", "What is missed, and why"):
        yield from (row for row in read_tables(page, heading) if "against" in row)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def main() -> None:
    """Print the comparison, or write it with --write."""
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        print(table({path: _read(ROOT / path) for path in (PERFORMANCE, RELIABILITY)}))  # noqa: T201


if __name__ == "__main__":
    main()
