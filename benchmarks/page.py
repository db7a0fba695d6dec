"""The results section of docs/performance.md; text outside its markers is not changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.table import CHECKED, COMPARED, check_cells, comparison_cells, figure, markdown
from docs.sections import markers, put_between

if TYPE_CHECKING:
    from benchmarks.report import Figure, Machine, Report

BEGIN, END = markers("measured")


def written_into(page: str, report: Report) -> str:
    """Replace the results in a page.

    Raises ValueError if a marker is missing.
    """
    return put_between(BEGIN, END, page, results(report))


def results(report: Report) -> str:
    """Format the results, the machine and the number of rounds as Markdown."""
    rounds = f"{'quick run, ' if report.quick else ''}{report.rounds} alternating rounds"
    parts = [f"Measured on {report.day} ({rounds}) on {machine(report.machine)}"]
    if report.comparisons:
        parts.append(markdown(COMPARED, [comparison_cells(each) for each in report.comparisons]))
    if report.ceilings:
        parts.append(f"Without any tunnel the load generators reach {listed(report.ceilings)}.")
    if report.first_data:
        parts.append(
            "From the command to the first data through a single tunnel: "
            f"{listed(report.first_data)}."
        )
    if report.checks:
        parts.append(markdown(CHECKED, [check_cells(each) for each in report.checks]))
    return "\n\n".join(parts)


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
