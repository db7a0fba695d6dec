"""The results in docs/performance.md: what is reached first, what is missed beside its reasons.

Text outside the markers is not changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.table import CHECKED, COMPARED, check_cells, comparison_cells, figure, markdown
from docs.sections import markers, put_between

if TYPE_CHECKING:
    from benchmarks.report import Figure, Machine, Report

BEGIN, END = markers("measured")
MISSED_BEGIN, MISSED_END = markers("missed")
NOTHING_MISSED = "In this run nothing is missed."


def written_into(page: str, report: Report) -> str:
    """Replace the results in a page.

    Raises ValueError if a marker is missing.
    """
    with_results = put_between(BEGIN, END, page, results(report))
    return put_between(MISSED_BEGIN, MISSED_END, with_results, missed(report))


def results(report: Report) -> str:
    """Format the reached rows, the machine and the number of rounds as Markdown."""
    rounds = f"{'quick run, ' if report.quick else ''}{report.rounds} alternating rounds"
    parts = [f"Measured on {report.day} ({rounds}) on {machine(report.machine)}"]
    parts += _tables(report, missed=False)
    if report.ceilings:
        parts.append(f"Without any tunnel the load generators reach {listed(report.ceilings)}.")
    if report.first_data:
        parts.append(
            "From the command to the first data through a single tunnel: "
            f"{listed(report.first_data)}."
        )
    return "\n\n".join(parts)


def missed(report: Report) -> str:
    """Format the missed rows as Markdown."""
    return "\n\n".join(_tables(report, missed=True)) or NOTHING_MISSED


def _tables(report: Report, *, missed: bool) -> list[str]:
    """Return the comparisons and the checks with this outcome, without tables that are empty."""
    wanted = set(report.missed)
    comparisons = [each for each in report.comparisons if (each.key in wanted) is missed]
    checks = [each for each in report.checks if (each.key in wanted) is missed]
    tables = []
    if comparisons:
        tables.append(markdown(COMPARED, [comparison_cells(each) for each in comparisons]))
    if checks:
        tables.append(markdown(CHECKED, [check_cells(each) for each in checks]))
    return tables


def machine(described: Machine) -> str:
    """Describe a machine in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in described.versions.items())
    return (
        f"{described.processor}, {described.cores} cores, {described.memory_gb:.0f} GB, "
        f"{described.system}; {versions}. Load before the run: {described.load:.2f}."
    )


def listed(asides: list[Figure]) -> str:
    """Format figures as a list in one line."""
    return "; ".join(f"{each.what} {figure(each.value)} {each.unit}" for each in asides)
