"""Markdown, as far as this project's pages use it: headings, code blocks, tables and links.

It reads; what should be there is for the tests to say.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)


def headings(page: Path, level: int) -> list[str]:
    """Return the headings of a level."""
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [text for marks, text in HEADING.findall(prose) if len(marks) == level]


def section(page: Path, heading: str) -> str:
    """Return the text below a heading, up to the next one of any level."""
    text = page.read_text(encoding="utf-8")
    match = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert match, f"{page.name} has no section {heading!r}"
    return match[1]


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks in a language."""
    return blocks_in(page.read_text(encoding="utf-8"), language)


def blocks_in(text: str, language: str) -> list[str]:
    return [code for name, code in FENCE.findall(text) if name == language]


def rows_of(text: str) -> list[list[str]]:
    """Yield the rows of all tables, without their heads."""
    lines = [line for line in FENCE.sub("", text).splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rules = [index for index, cells in enumerate(rows) if set(cells[0]) == {"-"}]
    heads = {index - 1 for index in rules} | set(rules)
    return [cells for index, cells in enumerate(rows) if index not in heads]


def links(page: Path) -> list[str]:
    """Yield the targets of links that stay within the project."""
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [to for to in re.findall(r"\]\(([^)\s]+)\)", prose) if "://" not in to]


def leads_somewhere(link: str, page: Path) -> bool:
    """Whether the file of a link exists, and has the heading that it names."""
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    texts = [text for level in range(1, 5) for text in headings(page, level)]
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}
