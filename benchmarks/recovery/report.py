"""The recovery times as a table, as JSON and as a section of a page; no files are written."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from benchmarks.rows import Contender
from benchmarks.statistics import median
from docs.sections import markers, put_between
from docs.tables import markdown

BEGIN, END = markers("recovery")
AIM = 6.0
"""The maximum of tunnelkeeper's worst time in seconds, if the server refuses meanwhile."""

HEAD = ("Outage", "seconds", "tunnelkeeper, median", "worst", "autossh, median", "worst")


@dataclass(frozen=True, slots=True)
class Returns:
    """Seconds from the server's return until data flowed, for each round. outage: its duration."""

    kind: str
    outage: float
    against: str
    seconds: list[float]

    @property
    def worst(self) -> float:
        """The longest time."""
        return max(self.seconds)


@dataclass(frozen=True, slots=True)
class Recovery:
    """One run. machine: its description."""

    day: str
    rounds: int
    machine: str
    returns: list[Returns]

    @property
    def worst(self) -> float:
        """The longest time of tunnelkeeper."""
        return max(each.worst for each in self.returns if each.against == Contender.TUNNELKEEPER)


def to_json(recovery: Recovery) -> bytes:
    """Encode every sample."""
    return msgspec.json.format(msgspec.json.encode(recovery))


def from_json(text: bytes) -> Recovery:
    """Decode an earlier run; raise ValueError if it is malformed."""
    return msgspec.json.decode(text, type=Recovery)


def rows(recovery: Recovery) -> list[tuple[str, ...]]:
    """Return a row for each outage with both contenders."""
    found: dict[tuple[str, float], dict[str, Returns]] = {}
    for each in recovery.returns:
        found.setdefault((each.kind, each.outage), {})[each.against] = each
    table: list[tuple[str, ...]] = []
    for (kind, outage), both in found.items():
        cells = [kind, f"{outage:g}"]
        for name in (Contender.TUNNELKEEPER, Contender.AUTOSSH):
            cells += [f"{median(both[name].seconds):.1f} s", f"{both[name].worst:.1f} s"]
        table.append(tuple(cells))
    return table


def section(recovery: Recovery) -> str:
    """Format a run for the page."""
    measured = f"Measured on {recovery.day}, {recovery.rounds} times each, on {recovery.machine}"
    return f"{measured}\n\n{markdown(HEAD, rows(recovery), to_the_right=HEAD[1:])}"


def written_into(page: str, recovery: Recovery) -> str:
    """Replace the run in a page; raise ValueError if a marker is missing."""
    return put_between(BEGIN, END, page, section(recovery))
