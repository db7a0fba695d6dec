"""Puts what a program has written into a page, between its markers; the rest is by hand; pure."""

from __future__ import annotations


def markers(name: str) -> tuple[str, str]:
    """The lines between which a page has a section; Markdown does not show them."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def put_between(begin: str, end: str, page: str, section: str) -> str:
    """A page with a section between its markers, in place of what stood there.

    Raises ValueError where the markers are missing.
    """
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise ValueError(f"expected {begin} and then {end}")
    return f"{before}{begin}\n{section}\n{end}{after}"
