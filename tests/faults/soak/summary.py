"""The summary of a soak run: as a table, as JSON and as a section of docs/reliability.md."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from docs.sections import markers, put_between
from docs.tables import aligned, markdown

BEGIN, END = markers("soak")
FAULT_COLUMNS = ("Fault", "times", "data flows again after, median", "at most")
IDLE_COLUMNS = (
    "Process",
    "when",
    "memory",
    "descriptors",
    "threads",
    "children",
    "listeners",
    "CPU",
)


@dataclass(frozen=True, slots=True)
class IdleSample:
    """An idle process at one moment. memory: bytes (PSS). cpu: the share of a core in use."""

    who: str
    when: str
    memory: int
    descriptors: int
    threads: int
    children: int
    listeners: int
    cpu: float


@dataclass(frozen=True, slots=True)
class Allowed:
    """The limits of a run, in seconds. recovery: of the endpoint that may take longest."""

    false_up: float
    undisturbed: float
    control: float
    recovery: float


@dataclass(slots=True)
class Summary:
    """One run, until its end or its first violation.

    recovery: for each fault, seconds from its end until every endpoint carried data.
    longest_false_up, slowest_answer: seconds. violation: empty if there was none.
    """

    day: str
    minutes: float
    seed: int
    machine: str
    tunnels: int
    allowed: Allowed
    rounds: int = 0
    recovery: dict[str, list[float]] = field(default_factory=dict)
    idle_samples: list[IdleSample] = field(default_factory=list)
    pings: int = 0
    bytes: int = 0
    status_reads: int = 0
    longest_false_up: float = 0.0
    slowest_answer: float = 0.0
    violation: str = ""


def to_json(summary: Summary) -> bytes:
    """Return all measurements."""
    return msgspec.json.format(msgspec.json.encode(summary))


def from_json(text: bytes) -> Summary:
    """Read the summary of an earlier run. Raises ValueError if the JSON is not a summary."""
    return msgspec.json.decode(text, type=Summary)


def format_run(summary: Summary) -> str:
    """Format a run for a terminal."""
    parts = [description(summary), aligned(FAULT_COLUMNS, fault_rows(summary))]
    parts.append(aligned(IDLE_COLUMNS, idle_rows(summary)))
    return "\n\n".join([*parts, result_text(summary)])


def section(summary: Summary) -> str:
    """Format a run for the document."""
    parts = [
        description(summary),
        markdown(FAULT_COLUMNS, fault_rows(summary), to_the_right=FAULT_COLUMNS[1:]),
    ]
    parts += [
        markdown(IDLE_COLUMNS, idle_rows(summary), to_the_right=IDLE_COLUMNS[1:]),
        result_text(summary),
    ]
    return "\n\n".join(parts)


def description(summary: Summary) -> str:
    """Describe the run: when and where it ran, and how much it checked."""
    faults = sum(map(len, summary.recovery.values()))
    return (
        f"{summary.day}, {summary.minutes:g} minutes, seed {summary.seed}, {summary.tunnels} "
        f"tunnels: {faults} faults in {summary.rounds} rounds; {summary.pings} pings "
        f"({summary.bytes / 1e6:.0f} MB) and {summary.status_reads} status samples. "
        f"{summary.machine}"
    )


def result_text(summary: Summary) -> str:
    """State the result, the limits and how close to them the run came."""
    allowed = summary.allowed
    limits = (
        f"Longest time that a tunnel was reported up without carrying a ping: "
        f"{summary.longest_false_up:.1f} s (allowed: {allowed.false_up:g} s). "
        f"Slowest answer of the control socket: {summary.slowest_answer:.2f} s "
        f"(allowed: {allowed.control:g} s). Maximum for data to flow again: "
        f"{allowed.recovery:g} s."
    )
    result = f"VIOLATION: {summary.violation}" if summary.violation else "No violation."
    return f"{result} {limits}"


def fault_rows(summary: Summary) -> list[tuple[str, ...]]:
    """Return a row for each kind of fault."""
    rows: list[tuple[str, ...]] = []
    for name, recovery in summary.recovery.items():
        ordered = sorted(recovery)
        median = ordered[len(ordered) // 2]
        rows.append((name, str(len(recovery)), f"{median:.1f} s", f"{ordered[-1]:.1f} s"))
    return rows


def idle_rows(summary: Summary) -> list[tuple[str, ...]]:
    """Return a row for each process and moment."""
    return [
        (
            sample.who,
            sample.when,
            f"{sample.memory / 1e6:.1f} MB",
            str(sample.descriptors),
            str(sample.threads),
            str(sample.children),
            str(sample.listeners),
            f"{sample.cpu:.1%}",
        )
        for sample in sorted(summary.idle_samples, key=lambda sample: sample.who, reverse=True)
    ]


def written_into(text: str, summary: Summary) -> str:
    """Write the run between the markers of a document. Raises ValueError if they are missing."""
    return put_between(BEGIN, END, text, section(summary))
