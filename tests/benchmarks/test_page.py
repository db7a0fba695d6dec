from __future__ import annotations

import pytest

from benchmarks.page import (
    BEGIN,
    END,
    MISSED_BEGIN,
    MISSED_END,
    NOTHING_MISSED,
    missed,
    results,
    written_into,
)
from benchmarks.report import Check
from tests.benchmarks.findings import faster, leaner, report

MISSED = f"\n{MISSED_BEGIN}{MISSED_END}"


def test_only_the_text_between_the_markers_is_replaced() -> None:
    page = f"before\n{BEGIN}\nold figures\n{END}\nafter\n{MISSED}"

    written = written_into(page, report(faster()))

    assert written.startswith(f"before\n{BEGIN}\nMeasured on 2030-01-02 (quick run, 3 ")
    assert f"\n{END}\nafter\n" in written
    assert "old figures" not in written


def test_writing_twice_changes_nothing() -> None:
    once = written_into(f"{BEGIN}{END}{MISSED}", report(faster()))

    assert written_into(once, report(faster())) == once


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{END}"])
def test_a_page_without_its_markers_is_left_alone(page: str) -> None:
    with pytest.raises(ValueError, match=r"expected <!-- (measured|missed): begin -->"):
        written_into(page, report(faster()))


def test_the_results_name_machine_versions_and_ceilings() -> None:
    text = results(report(faster(), checks=(Check("idle", 0.4, "100 tunnels"),)))

    assert "on Some Processor, 4 cores, 16 GB, Some Linux 1; tunnelkeeper 1.2, OpenSSH 9.9." in text
    assert "Load before the run: 0.05." in text
    assert "reach streams up 3000 MB/s." in text
    assert "a single tunnel: ssh 0.20 s." in text
    assert "| one stream, up |" in text
    assert "| CPU of idle tunnels |" in text


def test_missed_rows_are_beside_their_reasons_and_the_others_lead() -> None:
    found = report(faster(1.0), leaner(), checks=(Check("idle", 4.0, "100 tunnels"),))

    assert "memory of a further tunnel" in results(found)
    assert "one stream" not in results(found)
    assert "**missed**" not in results(found)
    assert missed(found).count("**missed**") == 2
    assert "| one stream, up |" in missed(found)
    assert "| CPU of idle tunnels |" in missed(found)


def test_a_run_that_misses_nothing_says_so() -> None:
    assert missed(report(faster())) == NOTHING_MISSED
