"""Generated sections of hand-written pages, replaced between their markers; reads no files."""

from __future__ import annotations


def markers(name: str) -> tuple[str, str]:
    """Return the lines that mark a section; Markdown does not show them."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def put_between(begin: str, end: str, page: str, section: str) -> str:
    """Replace the text between the markers of a page.

    Raises ValueError if a marker is missing.
    """
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise ValueError(f"expected {begin} and then {end}")
    return f"{before}{begin}\n{section}\n{end}{after}"
