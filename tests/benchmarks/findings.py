"""Reports with figures that tests choose."""

from __future__ import annotations

from benchmarks.report import Check, Comparison, Figure, Machine, Report

MACHINE = Machine(
    processor="Some Processor",
    cores=4,
    memory_gb=16.2,
    system="Some Linux 1",
    versions={"tunnelkeeper": "1.2", "OpenSSH": "9.9"},
    load=0.05,
)


def faster(ratio: float = 2.0) -> Comparison:
    """Return uploads at a multiple of ssh's rate, the same in every round."""
    return Comparison("up-default", ours=[ratio * 100] * 3, theirs=[100.0] * 3)


def leaner(ratio: float = 1 / 25) -> Comparison:
    """Return memory at a fraction of autossh's, the same in every round."""
    return Comparison("memory", ours=[ratio * 1000] * 3, theirs=[1000.0] * 3)


def report(*comparisons: Comparison, checks: tuple[Check, ...] = ()) -> Report:
    """Return a run with these results."""
    return Report(
        day="2030-01-02",
        quick=True,
        rounds=3,
        machine=MACHINE,
        comparisons=list(comparisons),
        ceilings=[Figure("streams up", 3000.0, "MB/s")],
        first_data=[Figure("ssh", 0.2, "s")],
        checks=list(checks),
    )
