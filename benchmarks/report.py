"""The results of a run: samples, ratios and verdicts, to and from JSON. It measures nothing."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from benchmarks.rows import LIMITS, ROWS, Limit, Row
from benchmarks.statistics import Spread, median, ratios, spread


@dataclass(frozen=True, slots=True)
class Comparison:
    """A row of the table with the samples of both sides, one pair for each round."""

    key: str
    ours: list[float]
    theirs: list[float]

    @property
    def row(self) -> Row:
        """The compared row. Raises KeyError if this version has no such row."""
        return {row.key: row for row in ROWS}[self.key]

    @property
    def ratio(self) -> Spread:
        """The spread of ours divided by theirs."""
        return spread(ratios(self.ours, self.theirs))

    @property
    def verdict(self) -> str:
        """The verdict; the median decides."""
        ratio = self.ratio.median
        if self.row.is_aimed(ratio):
            return "met, aim too"
        return "met" if self.row.is_met(ratio) else "missed"


@dataclass(frozen=True, slots=True)
class Check:
    """A limit and its measured value. detail: the load on the tunnel."""

    key: str
    value: float
    detail: str

    @property
    def limit(self) -> Limit:
        """The checked limit. Raises KeyError if this version has no such limit."""
        return {limit.key: limit for limit in LIMITS}[self.key]

    @property
    def verdict(self) -> str:
        """In a word."""
        return "met" if self.value <= self.limit.most else "missed"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure without a requirement, shown beside the table."""

    what: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Machine:
    """The hardware and software of a run. load: the load average before it, over one minute."""

    processor: str
    cores: int
    memory_gb: float
    system: str
    versions: dict[str, str]
    load: float


@dataclass(frozen=True, slots=True)
class Report:
    """One run.

    ceilings: results of the load generators without a tunnel. first_data: the time of each
    contender from its command to the first data through a single tunnel.
    """

    day: str
    quick: bool
    rounds: int
    machine: Machine
    comparisons: list[Comparison]
    ceilings: list[Figure]
    first_data: list[Figure]
    checks: list[Check]

    @property
    def missed(self) -> list[str]:
        """The keys of missed rows and limits."""
        found: list[Comparison | Check] = [*self.comparisons, *self.checks]
        return [each.key for each in found if each.verdict == "missed"]


def compared(row: Row, ours: list[float], theirs: list[float]) -> Comparison:
    """Return a row with its samples; raise ValueError if they cannot be paired."""
    ratios(ours, theirs)
    return Comparison(row.key, ours, theirs)


def to_json(report: Report) -> bytes:
    """Encode a report. Medians, ratios and verdicts are added for other programs."""
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
    """Decode the report of an earlier run.

    Raises ValueError if it is malformed or has rows that this version does not know.
    """
    report = msgspec.json.decode(text, type=Report)
    known = {row.key for row in ROWS} | {limit.key for limit in LIMITS}
    found: list[Comparison | Check] = [*report.comparisons, *report.checks]
    unknown = [each.key for each in found if each.key not in known]
    if unknown:
        raise ValueError(f"this version has no rows {', '.join(unknown)}")
    return report
