"""Half a minute of a soak run, and the formats of its summary."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from tests.faults.soak import summary as report
from tests.faults.soak.idle import describe_growth
from tests.faults.soak.main import soak
from tests.faults.soak.summary import Allowed, IdleSample, Summary
from tests.faults.table import DOCUMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

SUPERVISOR = IdleSample("supervisor", "at the end", 40_000_000, 30, 1, 0, 12, 0.01)
SUMMARY = Summary(
    day="2030-01-02",
    minutes=30.0,
    seed=7,
    machine="4 cores.",
    tunnels=10,
    allowed=Allowed(24.0, 20.0, 15.0, 55.0),
    rounds=2,
    recovery={"black hole": [1.0, 3.0, 2.0]},
    idle_samples=[SUPERVISOR],
    pings=100,
    bytes=2_000_000,
    status_reads=9,
    longest_false_up=4.2,
    slowest_answer=0.05,
)


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """Return a short directory: a Unix socket path has less than 108 bytes (unix(7))."""
    with TemporaryDirectory(prefix="tk") as directory:
        yield Path(directory)


@pytest.mark.timeout(600)
def test_half_a_minute_of_random_faults_violates_no_invariant(short_directory: Path) -> None:
    summary = soak(short_directory, minutes=0.5, seed=5, verbose=False, idle=2.0)

    assert summary.violation == "", report.format_run(summary)
    assert summary.rounds > 0
    assert summary.pings > 0


def test_growth_is_reported_with_each_resource() -> None:
    more = IdleSample("supervisor", "later", 60_000_000, 31, 1, 0, 12, 0.01)

    assert describe_growth(SUPERVISOR, SUPERVISOR) == ""
    assert describe_growth(SUPERVISOR, more) == (
        "the supervisor has grown: descriptors from 30 to 31, memory from 40.0 MB to 60.0 MB"
    )


def test_a_summary_survives_json() -> None:
    assert report.from_json(report.to_json(SUMMARY)) == SUMMARY


def test_a_section_shows_faults_and_idle_samples() -> None:
    text = report.section(SUMMARY)

    assert "seed 7, 10 tunnels: 3 faults in 2 rounds; 100 pings (2 MB)" in text
    assert "| black hole | 3 | 2.0 s | 3.0 s |" in text
    assert "| supervisor | at the end | 40.0 MB | 30 | 1 | 0 | 12 | 1.0% |" in text
    assert "No violation. Longest time" in text


def test_only_text_between_the_markers_is_replaced() -> None:
    page = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    written = report.written_into(page, SUMMARY)

    assert written == f"before\n{report.BEGIN}\n{report.section(SUMMARY)}\n{report.END}\nafter\n"


def test_the_document_has_the_markers() -> None:
    assert report.BEGIN in report.written_into(DOCUMENT.read_text(), SUMMARY)


def test_a_document_without_the_markers_is_an_error() -> None:
    with pytest.raises(ValueError, match="soak: begin"):
        report.written_into("a page", SUMMARY)
