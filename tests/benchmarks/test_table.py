from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmarks.report import Check, Comparison
from benchmarks.table import (
    CHECKED,
    COMPARED,
    check_cells,
    comparison_cells,
    drawn,
    figure,
    goal,
    markdown,
)
from tests.benchmarks.findings import faster, leaner


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1050.4, "1050"),
        (99.96, "100.0"),
        (83.14, "83.1"),
        (9.876, "9.88"),
        (0.917, "0.92"),
        (0.0341, "0.0341"),
        (-0.5, "-0.50"),
    ],
)
def test_a_figure_has_three_significant_digits(value: float, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.3, "1.3"), (1.0, "1"), (1 / 20, "1/20"), (100, "100"), (0, "0")]
)
def test_a_small_goal_is_formatted_as_a_fraction(value: float, text: str) -> None:
    assert goal(value) == text


def test_a_row_has_both_medians_and_the_ratio_with_its_spread() -> None:
    comparison = Comparison("up", ours=[900, 950, 1000], theirs=[1000, 1000, 1000])

    assert comparison_cells(comparison) == (
        "one stream, up",
        "950 MB/s",
        "1000 MB/s",
        "ssh -c aes128-gcm",
        "0.95",
        "0.90 .. 1.00",
        "≥ 0.85",
        "≥ 1",
        "met",
    )


def test_a_row_of_costs_has_an_upper_bound() -> None:
    cells = comparison_cells(leaner(1 / 25))

    assert cells[4:] == ("0.04", "0.04 .. 0.04", "≤ 1/20", "≤ 1/30", "met")


def test_a_check_has_its_value_limit_and_load() -> None:
    cells = check_cells(Check("channels", 31.4, "5000 connections"))

    assert cells[1:] == ("31.4 MB", "100 MB", "5000 connections", "met")


def test_the_terminals_table_shows_every_cell() -> None:
    output = io.StringIO()
    cells = comparison_cells(faster())

    Console(file=output, width=160).print(drawn(COMPARED, [cells]))

    heading, line = output.getvalue().splitlines()
    assert heading.split()[:2] == ["what", "tunnelkeeper"]
    assert all(cell in line for cell in cells)


def test_missed_rows_are_bold_in_markdown() -> None:
    rows = [check_cells(Check("idle", value, "100 tunnels")) for value in (0.5, 5.0)]

    assert markdown(CHECKED, rows).splitlines() == [
        "| what | found | at most | how much |  |",
        "| --- | ---: | ---: | --- | --- |",
        "| CPU of idle tunnels | 0.50 % of a core | 3 % of a core | 100 tunnels | met |",
        "| CPU of idle tunnels | 5.00 % of a core | 3 % of a core | 100 tunnels | **missed** |",
    ]
