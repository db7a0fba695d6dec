"""Takes measures: contenders in turn, round by round, so that what disturbs one disturbs all."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.measures import connecting, fleets, latency, limits, streams
from benchmarks.report import Aside, Check, Comparison, compared
from benchmarks.rows import LIMITS, ROWS, Against
from benchmarks.statistics import median

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from contextlib import AbstractContextManager

    from benchmarks.lab import Lab
    from benchmarks.measures import Figures, Measure, Take
    from benchmarks.rows import Row
    from benchmarks.scale import Scale

    Samples = dict[Against, list[Figures]]

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
"""How the measures that rows name are taken."""

WITH_CEILING = frozenset({"streams", "rtt", "connect", "slow-link"})
"""Measures that are taken without a tunnel, too: is it the load generators that are slow?"""

PAUSE = 0.1
"""Seconds between two contenders, for what is still on the way to be thrown away."""


@dataclass(frozen=True, slots=True)
class Findings:
    """All that a run has measured."""

    comparisons: list[Comparison]
    ceilings: list[Aside]
    first_data: list[Aside]
    checks: list[Check]


def measure(
    lab: Lab, scale: Scale, wanted: Container[str], tell: Callable[[str], None]
) -> Findings:
    """Measure the rows and limits whose keys are wanted. tell: hears what is done just now."""
    comparisons: list[Comparison] = []
    ceilings: list[Aside] = []
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


def _contenders(name: str, rows: Sequence[Row]) -> list[Against]:
    alone = [Against.NO_TUNNEL] if name in WITH_CEILING else []
    return [*dict.fromkeys(row.against for row in rows), Against.TUNNELKEEPER, *alone]


def _alternate(
    name: str,
    measures: Mapping[Against, AbstractContextManager[Take]],
    rounds: int,
    tell: Callable[[str], None],
) -> Samples:
    """The figures of every contender, one after the other in each round."""
    samples: Samples = {contender: [] for contender in measures}
    with ExitStack() as stack:
        tell(f"{name}: starting")
        ready = {each: stack.enter_context(measure) for each, measure in measures.items()}
        for number in range(rounds):
            for contender, take in ready.items():
                if contender is Against.NO_TUNNEL and number:
                    continue  # once says enough: nothing is divided by it
                tell(f"{name}: round {number + 1} of {rounds}: {contender}")
                samples[contender].append(take())
                time.sleep(PAUSE)
    return samples


def _comparison(row: Row, samples: Samples) -> Comparison:
    ours, theirs = (
        [figures[row.figure] for figures in samples[contender]]
        for contender in (Against.TUNNELKEEPER, row.against)
    )
    return compared(row, ours, theirs)


def _ceilings(name: str, rows: Sequence[Row], samples: Samples) -> list[Aside]:
    if Against.NO_TUNNEL not in samples:
        return []
    units = {row.figure: row.unit for row in rows if not row.figure.startswith("cpu")}
    return [
        Aside(f"{name} {figure}", _median_of(samples[Against.NO_TUNNEL], figure), unit)
        for figure, unit in units.items()
    ]


def _first_data(lab: Lab, scale: Scale, tell: Callable[[str], None]) -> list[Aside]:
    contenders = (Against.TUNNELKEEPER, Against.SSH, Against.AUTOSSH)
    ready = {each: fleets.first_data(lab, scale, each) for each in contenders}
    samples = _alternate("first data", ready, scale.rounds, tell)
    return [Aside(each, _median_of(samples[each], "seconds"), "s") for each in contenders]


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
