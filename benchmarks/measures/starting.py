"""The processor time of a start: of a command, and of a supervisor until data flows."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

from benchmarks.accounting import cpu_seconds
from benchmarks.clients import wait_until_all_carry
from benchmarks.contenders import started, supervisor
from benchmarks.measures.fleets import WITHIN, fleet, ports_of
from benchmarks.report import Check
from benchmarks.rows import Contender
from benchmarks.services import echo, serving
from benchmarks.statistics import median

if TYPE_CHECKING:
    from benchmarks.lab import Lab
    from benchmarks.scale import Scale

TIMES = 9
"""Each start is measured so often, and the median counts."""


def commands(lab: Lab, _scale: Scale) -> list[Check]:
    """Check the command that scripts and people call most often: `status --json`."""
    with serving(echo) as target, supervisor(lab, fleet(lab, 1, target)) as running:
        taken = []
        for _ in range(TIMES):
            before = _of_ended_children()
            running.status()
            taken.append(_of_ended_children() - before)
    return [Check("start-command", median(taken) * 1e3, f"{TIMES} times")]


def first_tunnels(lab: Lab, _scale: Scale) -> list[Check]:
    """Check `up` with a single tunnel, until data has gone through it."""
    with serving(echo) as target:
        tunnels = fleet(lab, 1, target)
        taken = []
        for _ in range(TIMES):
            with started(lab, Contender.TUNNELKEEPER, tunnels) as client:
                wait_until_all_carry(ports_of(tunnels), WITHIN)
                taken.append(cpu_seconds(client.pids()))
    return [Check("start-tunnel", median(taken) * 1e3, f"{TIMES} times")]


def _of_ended_children() -> float:
    """Return the CPU seconds of all children of this process that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
