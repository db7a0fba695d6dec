"""Markdown of a table's cell as plain text for a place that has no links; reads no files."""

from __future__ import annotations

import re


def plain(cell: str) -> str:
    """Return a cell without links. The backquotes stay: editors show descriptions as Markdown."""
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", cell).replace("\\|", "|")
