"""What a soak run has found: as a table, as JSON and as a section of docs/reliability.md; pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from docs.sections import markers, put_between
from docs.tables import aligned, markdown

BEGIN, END = markers("soak")
FAULTS = ("Fault", "times", "data flows again after, median", "at most")
QUIETS = ("Process", "when", "memory", "descriptors", "threads", "children", "listeners", "CPU")


@dataclass(frozen=True, slots=True)
class Quiet:
    """A process in a quiet moment. memory: bytes (PSS). cpu: the part of a core that it uses."""

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
    """The bounds of a run, in seconds. returns: of the entry that may take longest."""

    lie: float
    peace: float
    control: float
    returns: float


@dataclass(slots=True)
class Summary:
    """One run, from its beginning to its end or to its first violation.

    returns: for each fault, seconds from its end until every entry carried data. longest_lie,
    slowest_answer: seconds. violation: empty where there was none.
    """

    day: str
    minutes: float
    seed: int
    machine: str
    tunnels: int
    allowed: Allowed
    rounds: int = 0
    returns: dict[str, list[float]] = field(default_factory=dict)
    quiets: list[Quiet] = field(default_factory=list)
    pings: int = 0
    bytes: int = 0
    looks: int = 0
    longest_lie: float = 0.0
    slowest_answer: float = 0.0
    violation: str = ""


def to_json(summary: Summary) -> bytes:
    """All that was measured."""
    return msgspec.json.format(msgspec.json.encode(summary))


def from_json(text: bytes) -> Summary:
    """Read the summary of an earlier run. Raises ValueError if it is none."""
    return msgspec.json.decode(text, type=Summary)


def format_run(summary: Summary) -> str:
    """Format a run for a terminal."""
    parts = [sentence(summary), aligned(FAULTS, fault_rows(summary))]
    parts.append(aligned(QUIETS, quiet_rows(summary)))
    return "\n\n".join([*parts, verdict(summary)])


def section(summary: Summary) -> str:
    """Format a run for the document."""
    parts = [sentence(summary), markdown(FAULTS, fault_rows(summary), to_the_right=FAULTS[1:])]
    parts += [markdown(QUIETS, quiet_rows(summary), to_the_right=QUIETS[1:]), verdict(summary)]
    return "\n\n".join(parts)


def sentence(summary: Summary) -> str:
    """Describe what was done, where, and how much was checked."""
    faults = sum(map(len, summary.returns.values()))
    return (
        f"{summary.day}, {summary.minutes:g} minutes, seed {summary.seed}, {summary.tunnels} "
        f"tunnels: {faults} faults in {summary.rounds} rounds; {summary.pings} pings "
        f"({summary.bytes / 1e6:.0f} MB) and {summary.looks} looks at status. {summary.machine}"
    )


def verdict(summary: Summary) -> str:
    """Describe the limits and how near to them the run came."""
    allowed = summary.allowed
    near = (
        f"Longest time that a tunnel was called up without carrying a ping: "
        f"{summary.longest_lie:.1f} s (allowed: {allowed.lie:g} s). "
        f"Slowest answer of the control socket: {summary.slowest_answer:.2f} s "
        f"(allowed: {allowed.control:g} s). Data has to flow again within at most "
        f"{allowed.returns:g} s."
    )
    found = f"VIOLATION: {summary.violation}" if summary.violation else "No violation."
    return f"{found} {near}"


def fault_rows(summary: Summary) -> list[tuple[str, ...]]:
    """Return a row for each kind of fault."""
    rows: list[tuple[str, ...]] = []
    for name, returns in summary.returns.items():
        ordered = sorted(returns)
        middle = ordered[len(ordered) // 2]
        rows.append((name, str(len(returns)), f"{middle:.1f} s", f"{ordered[-1]:.1f} s"))
    return rows


def quiet_rows(summary: Summary) -> list[tuple[str, ...]]:
    """Return a row for each process and quiet moment."""
    return [
        (
            each.who,
            each.when,
            f"{each.memory / 1e6:.1f} MB",
            str(each.descriptors),
            str(each.threads),
            str(each.children),
            str(each.listeners),
            f"{each.cpu:.1%}",
        )
        for each in sorted(summary.quiets, key=lambda each: each.who, reverse=True)
    ]


def written_into(text: str, summary: Summary) -> str:
    """Put the run between the markers of a document. Raises ValueError if they are missing."""
    return put_between(BEGIN, END, text, section(summary))
