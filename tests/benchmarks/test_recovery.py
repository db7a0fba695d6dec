from __future__ import annotations

import pytest

from benchmarks.recovery import report
from benchmarks.recovery.main import DOCUMENT
from benchmarks.recovery.report import Recovery, Returns
from benchmarks.rows import Contender

RECOVERY = Recovery(
    day="2030-01-02",
    rounds=3,
    machine="Some Processor.",
    returns=[
        Returns("it refuses", 60.0, Contender.TUNNELKEEPER, [1.0, 4.0, 2.0]),
        Returns("it refuses", 60.0, Contender.AUTOSSH, [61.0, 3.0, 50.0]),
    ],
)


def test_each_outage_is_a_row_with_both_contenders() -> None:
    assert report.rows(RECOVERY) == [("it refuses", "60", "2.0 s", "4.0 s", "50.0 s", "61.0 s")]


def test_the_worst_time_is_that_of_tunnelkeeper() -> None:
    assert RECOVERY.worst == 4.0


def test_a_run_is_the_same_after_json() -> None:
    assert report.from_json(report.to_json(RECOVERY)) == RECOVERY


def test_only_the_text_between_the_markers_is_replaced() -> None:
    page = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"

    written = report.written_into(page, RECOVERY)

    assert written.startswith(f"before\n{report.BEGIN}\nMeasured on 2030-01-02, 3 times each, on ")
    assert written.endswith(f"| 61.0 s |\n{report.END}\nafter\n")


def test_the_document_has_the_markers() -> None:
    assert report.BEGIN in report.written_into(DOCUMENT.read_text(), RECOVERY)


def test_a_page_without_its_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="recovery: begin"):
        report.written_into("a page", RECOVERY)
