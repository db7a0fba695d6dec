"""The measuring loop. Contenders alternate in each round, so that a disturbance affects all."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.measures import connecting, fleets, latency, limits, streams
from benchmarks.report import Check, Comparison, Figure, compared
from benchmarks.rows import LIMITS, ROWS, Contender
from benchmarks.statistics import median

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from contextlib import AbstractContextManager

    from benchmarks.lab import Lab
    from benchmarks.measures import Figures, Measure, Take
    from benchmarks.rows import Row
    from benchmarks.scale import Scale

    Samples = dict[Contender, list[Figures]]

MEASURES: dict[str, Measure] = {
    "streams": streams.streams,
    "rtt": latency.round_trips,
    "connect": connecting.connections,
    "busy": latency.beside_bulk,
    "memory": fleets.memory,
    "startup": fleets.start_up,
    "socks": streams.socks,
    "remote": streams.remote,
    "jump": streams.through_jump_host,
    "slow-link": streams.over_slow_link,
    "narrow-link": latency.beside_bulk_on_narrow_link,
}
"""The measures that rows refer to."""

WITH_CEILING = frozenset({"streams", "rtt", "connect", "slow-link"})
"""Measures also taken without a tunnel, to show the limit of the load generators."""

PAUSE = 0.1
"""Seconds between two contenders, for data in flight to be discarded."""


@dataclass(frozen=True, slots=True)
class Findings:
    """The results of a run."""

    comparisons: list[Comparison]
    ceilings: list[Figure]
    first_data: list[Figure]
    checks: list[Check]


def measure(
    lab: Lab, scale: Scale, wanted: Container[str], tell: Callable[[str], None]
) -> Findings:
    """Measure the rows and limits with the wanted keys. tell: receives progress messages."""
    comparisons: list[Comparison] = []
    ceilings: list[Figure] = []
    for name, ready_for in MEASURES.items():
        rows = [row for row in ROWS if row.measure == name and row.key in wanted]
        if rows:
            contenders = _contenders(name, rows)
            rounds = scale.memory_rounds if name == "memory" else scale.rounds
            ready = {each: ready_for(lab, scale, each) for each in contenders}
            samples = _alternate(name, ready, rounds, tell)
            comparisons += [_comparison(row, samples) for row in rows]
            ceilings += _ceilings(name, rows, samples)
    order = [row.key for row in ROWS]
    comparisons.sort(key=lambda each: order.index(each.key))
    first_data = _first_data(lab, scale, tell) if "startup" in wanted else []
    return Findings(comparisons, ceilings, first_data, _checks(lab, scale, wanted, tell))


def _contenders(name: str, rows: Sequence[Row]) -> list[Contender]:
    alone = [Contender.NO_TUNNEL] if name in WITH_CEILING else []
    return [*dict.fromkeys(row.against for row in rows), Contender.TUNNELKEEPER, *alone]


def _alternate(
    name: str,
    measures: Mapping[Contender, AbstractContextManager[Take]],
    rounds: int,
    tell: Callable[[str], None],
) -> Samples:
    """Measure every contender once in each round; return the figures."""
    samples: Samples = {contender: [] for contender in measures}
    with ExitStack() as stack:
        tell(f"{name}: starting")
        ready = {each: stack.enter_context(measure) for each, measure in measures.items()}
        for number in range(rounds):
            for contender, take in ready.items():
                if contender is Contender.NO_TUNNEL and number:
                    continue  # one sample suffices, as no ratio uses it
                tell(f"{name}: round {number + 1} of {rounds}: {contender}")
                samples[contender].append(take())
                time.sleep(PAUSE)
    return samples


def _comparison(row: Row, samples: Samples) -> Comparison:
    ours, theirs = (
        [figures[row.figure] for figures in samples[contender]]
        for contender in (Contender.TUNNELKEEPER, row.against)
    )
    return compared(row, ours, theirs)


def _ceilings(name: str, rows: Sequence[Row], samples: Samples) -> list[Figure]:
    if Contender.NO_TUNNEL not in samples:
        return []
    units = {row.figure: row.unit for row in rows if not row.figure.startswith("cpu")}
    return [
        Figure(f"{name} {figure}", _median_of(samples[Contender.NO_TUNNEL], figure), unit)
        for figure, unit in units.items()
    ]


def _first_data(lab: Lab, scale: Scale, tell: Callable[[str], None]) -> list[Figure]:
    contenders = (Contender.TUNNELKEEPER, Contender.SSH, Contender.AUTOSSH)
    ready = {each: fleets.first_data(lab, scale, each) for each in contenders}
    samples = _alternate("first data", ready, scale.rounds, tell)
    return [Figure(each, _median_of(samples[each], "seconds"), "s") for each in contenders]


def _median_of(samples: Sequence[Figures], figure: str) -> float:
    return median([figures[figure] for figures in samples])


def _checks(
    lab: Lab, scale: Scale, wanted: Container[str], tell: Callable[[str], None]
) -> list[Check]:
    keys = [limit.key for limit in LIMITS if limit.key in wanted]
    checks: list[Check] = []
    for check in dict.fromkeys(limits.CHECKS[key] for key in keys):
        tell(f"limits: {check.__name__.replace('_', ' ')}")
        checks += [found for found in check(lab, scale) if found.key in wanted]
    return checks
