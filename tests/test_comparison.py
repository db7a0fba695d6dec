"""The table that compares tunnelkeeper with other programs, in README and docs/performance.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.comparison import (
    BEGIN,
    END,
    OUTAGES,
    PAGES,
    PERFORMANCE,
    RELIABILITY,
    ROOT,
    SENTENCE,
    table,
    write,
    written_into,
)

FIGURES = {
    PERFORMANCE: """\
## What is reached

| what | tunnelkeeper | other | against | ratio |
| --- | ---: | ---: | --- | ---: |
| one stream, up | 900 MB/s | 500 MB/s | ssh | 1.8 |
| one stream, up | 900 MB/s | 700 MB/s | a Go forwarder | 1.3 |

| what | found |
| --- | --- |
| memory of a further tunnel | 1 MB |

## What is missed, and why

| what | tunnelkeeper | other | against | ratio |
| --- | ---: | ---: | --- | ---: |
| memory of a further tunnel | 70 kB | 1500 kB | autossh + ssh | 0.05 |
| a row that is not compared | 1 | 2 | ssh | 0.5 |
""",
    RELIABILITY: """\
## Recovery compared with autossh

| Outage | seconds | tunnelkeeper, median | worst | autossh, median | worst |
| --- | ---: | ---: | ---: | ---: | ---: |
| sshd is killed, its port refuses | 5 | 1.0 s | 2.0 s | 5.0 s | 6.0 s |
| sshd is killed, its port refuses | 120 | 3.0 s | 4.0 s | 62.0 s | 63.0 s |
| the network drops everything | 120 | 0.7 s | 1.0 s | 5.0 s | 6.0 s |
""",
}


def test_each_program_has_a_column_and_each_figure_its_row() -> None:
    assert table(FIGURES).splitlines() == [
        "|  | tunnelkeeper | ssh | a Go forwarder | autossh |",
        "| --- | ---: | ---: | ---: | ---: |",
        f"| {OUTAGES['120']} | 3.0 s | never |  | 62.0 s |",
        "| memory of a further tunnel | 70 kB |  |  | 1500 kB |",
        "| one stream, to the server | 900 MB/s | 500 MB/s | 700 MB/s |  |",
    ]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_pages_have_the_figures_of_the_measurements(page: Path) -> None:
    pages = {path: (ROOT / path).read_text(encoding="utf-8") for path in FIGURES}

    assert table(pages) in (ROOT / page).read_text(encoding="utf-8"), (
        "run `python -m docs.comparison --write`"
    )


def test_the_first_sentence_of_the_readme_has_the_measured_times() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = {path: (ROOT / path).read_text(encoding="utf-8") for path in FIGURES}

    assert SENTENCE.search(text[: text.index("![")])
    assert written_into(text, pages) == text, "run `python -m docs.comparison --write`"


def test_the_times_of_the_sentence_are_those_of_two_minutes() -> None:
    sentence = "data flows again 1 seconds after its\nreturn, and with autossh after 2.5 seconds"

    written = written_into(f"{sentence}{BEGIN}{END}", FIGURES)

    assert written.startswith(
        "data flows again 3.0 seconds after its\nreturn, and with autossh after 62.0 seconds"
    )


def test_only_the_text_between_the_markers_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    marked = "before\n<!-- comparison: begin -->\nold\n<!-- comparison: end -->\nafter\n"
    for path, text in {**FIGURES, Path("README.md"): ""}.items():
        (tmp_path / path).write_text(text if path == RELIABILITY else marked + text)

    write(tmp_path)

    page = (tmp_path / "README.md").read_text()
    assert page.startswith("before\n<!-- comparison: begin -->\n|  | tunnelkeeper |")
    assert page.endswith("<!-- comparison: end -->\nafter\n")
    assert "old" not in page
