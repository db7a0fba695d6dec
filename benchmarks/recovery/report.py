"""What was found after outages: as a table, as JSON, and as a section of a page; pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from benchmarks.rows import Against
from benchmarks.statistics import median
from docs.sections import markers, put_between
from docs.tables import markdown

BEGIN, END = markers("recovery")
AIM = 6.0
"""Seconds that tunnelkeeper's worst may take, where the server refused meanwhile."""

HEAD = ("Outage", "seconds", "tunnelkeeper, median", "worst", "autossh, median", "worst")


@dataclass(frozen=True, slots=True)
class Returns:
    """Seconds from the server's return until data flowed, in each round. outage: its seconds."""

    kind: str
    outage: float
    against: str
    seconds: list[float]

    @property
    def worst(self) -> float:
        """The longest."""
        return max(self.seconds)


@dataclass(frozen=True, slots=True)
class Recovery:
    """One run. machine: in a sentence."""

    day: str
    rounds: int
    machine: str
    returns: list[Returns]

    @property
    def worst(self) -> float:
        """Tunnelkeeper's worst of all."""
        return max(each.worst for each in self.returns if each.against == Against.TUNNELKEEPER)


def to_json(recovery: Recovery) -> bytes:
    """Every sample."""
    return msgspec.json.format(msgspec.json.encode(recovery))


def from_json(text: bytes) -> Recovery:
    """An earlier run. Raises ValueError when it is none."""
    return msgspec.json.decode(text, type=Recovery)


def rows(recovery: Recovery) -> list[tuple[str, ...]]:
    """A row for each outage, with both contenders."""
    found: dict[tuple[str, float], dict[str, Returns]] = {}
    for each in recovery.returns:
        found.setdefault((each.kind, each.outage), {})[each.against] = each
    table: list[tuple[str, ...]] = []
    for (kind, outage), both in found.items():
        cells = [kind, f"{outage:g}"]
        for name in (Against.TUNNELKEEPER, Against.AUTOSSH):
            cells += [f"{median(both[name].seconds):.1f} s", f"{both[name].worst:.1f} s"]
        table.append(tuple(cells))
    return table


def section(recovery: Recovery) -> str:
    """A run for the page."""
    measured = f"Measured on {recovery.day}, {recovery.rounds} times each, on {recovery.machine}"
    return f"{measured}\n\n{markdown(HEAD, rows(recovery), to_the_right=HEAD[1:])}"


def written_into(page: str, recovery: Recovery) -> str:
    """A page with the run between its markers. Raises ValueError where they are missing."""
    return put_between(BEGIN, END, page, section(recovery))
