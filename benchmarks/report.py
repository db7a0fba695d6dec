"""What a run has found: samples, ratios, verdicts; to and from JSON. It measures nothing."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from benchmarks.rows import LIMITS, ROWS, Limit, Row
from benchmarks.statistics import Spread, median, ratios, spread


@dataclass(frozen=True, slots=True)
class Comparison:
    """A row of the table, with the samples of both sides, a pair a round."""

    key: str
    ours: list[float]
    theirs: list[float]

    @property
    def row(self) -> Row:
        """What was compared. Raises KeyError when this version has no such row."""
        return {row.key: row for row in ROWS}[self.key]

    @property
    def ratio(self) -> Spread:
        """Ours over theirs."""
        return spread(ratios(self.ours, self.theirs))

    @property
    def verdict(self) -> str:
        """In a word; the median decides."""
        ratio = self.ratio.median
        if self.row.is_aimed(ratio):
            return "met, aim too"
        return "met" if self.row.is_met(ratio) else "missed"


@dataclass(frozen=True, slots=True)
class Check:
    """A limit, with what was found. detail: how much was asked of the tunnel."""

    key: str
    value: float
    detail: str

    @property
    def limit(self) -> Limit:
        """What was checked. Raises KeyError when this version has no such limit."""
        return {limit.key: limit for limit in LIMITS}[self.key]

    @property
    def verdict(self) -> str:
        """In a word."""
        return "met" if self.value <= self.limit.most else "missed"


@dataclass(frozen=True, slots=True)
class Aside:
    """A figure that nothing has to be reached by, worth knowing beside the table."""

    what: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured, and with which versions. load: of the last minute, before the run."""

    processor: str
    cores: int
    memory_gb: float
    system: str
    versions: dict[str, str]
    load: float


@dataclass(frozen=True, slots=True)
class Report:
    """One run.

    ceilings: what the load generators reach with no tunnel between them. first_data: how long each
    contender takes from its command to the first data through a single tunnel.
    """

    day: str
    quick: bool
    rounds: int
    machine: Machine
    comparisons: list[Comparison]
    ceilings: list[Aside]
    first_data: list[Aside]
    checks: list[Check]

    @property
    def missed(self) -> list[str]:
        """The keys of what was not reached."""
        found: list[Comparison | Check] = [*self.comparisons, *self.checks]
        return [each.key for each in found if each.verdict == "missed"]


def compared(row: Row, ours: list[float], theirs: list[float]) -> Comparison:
    """A row with its samples. Raises ValueError when they cannot be paired."""
    ratios(ours, theirs)
    return Comparison(row.key, ours, theirs)


def to_json(report: Report) -> bytes:
    """The samples, and beside them what they come to, for programs that read only that."""
    plain = msgspec.to_builtins(report)
    for each, shown in zip(report.comparisons, plain["comparisons"], strict=True):
        shown |= {
            "what": each.row.what,
            "unit": each.row.unit,
            "against": each.row.against,
            "better": each.row.better,
            "required": each.row.required,
            "aim": each.row.aim,
            "our_median": median(each.ours),
            "their_median": median(each.theirs),
            "ratio": msgspec.to_builtins(each.ratio),
            "verdict": each.verdict,
        }
    for check, shown in zip(report.checks, plain["checks"], strict=True):
        shown |= {"what": check.limit.what, "unit": check.limit.unit, "most": check.limit.most}
        shown |= {"verdict": check.verdict}
    return msgspec.json.format(msgspec.json.encode(plain))


def from_json(text: bytes) -> Report:
    """The report of an earlier run.

    Raises ValueError when it is none, or names rows that this version does not have.
    """
    report = msgspec.json.decode(text, type=Report)
    known = {row.key for row in ROWS} | {limit.key for limit in LIMITS}
    found: list[Comparison | Check] = [*report.comparisons, *report.checks]
    unknown = [each.key for each in found if each.key not in known]
    if unknown:
        raise ValueError(f"this version has no rows {', '.join(unknown)}")
    return report
