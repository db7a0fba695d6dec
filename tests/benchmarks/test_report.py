from __future__ import annotations

import json

import pytest

from benchmarks.report import Check, Comparison, compared, from_json, to_json
from benchmarks.rows import ROWS
from benchmarks.statistics import Spread
from tests.benchmarks.findings import faster, leaner, report


@pytest.mark.parametrize(
    ("ratio", "verdict"), [(1.29, "missed"), (1.3, "met"), (1.79, "met"), (1.8, "met, aim too")]
)
def test_more_is_better_where_a_rate_is_compared(ratio: float, verdict: str) -> None:
    assert faster(ratio).verdict == verdict


@pytest.mark.parametrize(
    ("ratio", "verdict"), [(1 / 19, "missed"), (1 / 20, "met"), (1 / 31, "met, aim too")]
)
def test_less_is_better_where_a_cost_is_compared(ratio: float, verdict: str) -> None:
    assert leaner(ratio).verdict == verdict


def test_the_median_decides_the_verdict() -> None:
    comparison = Comparison("up-default", ours=[200, 10, 190], theirs=[100, 100, 100])

    assert comparison.ratio == Spread(median=1.9, least=0.1, most=2.0)
    assert comparison.verdict == "met, aim too"


def test_samples_that_cannot_be_paired_make_no_comparison() -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        compared(ROWS[0], [1, 2], [1])


@pytest.mark.parametrize(("value", "verdict"), [(3.0, "met"), (3.1, "missed")])
def test_a_limit_is_met_up_to_its_number(value: float, verdict: str) -> None:
    assert Check("idle", value, "").verdict == verdict


def test_missed_rows_and_limits_are_listed() -> None:
    found = report(faster(1.0), leaner(), checks=(Check("idle", 4.0, ""),))

    assert found.missed == ["up-default", "idle"]


def test_a_report_comes_back_from_its_json() -> None:
    written = report(faster(), leaner(), checks=(Check("idle", 0.4, "100 tunnels"),))

    assert from_json(to_json(written)) == written


def test_the_json_has_medians_ratios_and_verdicts() -> None:
    [shown] = json.loads(to_json(report(faster(2.0))))["comparisons"]

    assert shown["what"] == "one stream, up"
    assert shown["ratio"] == {"median": 2.0, "least": 2.0, "most": 2.0}
    assert (shown["required"], shown["aim"], shown["verdict"]) == (1.3, 1.8, "met, aim too")


def test_a_report_with_rows_of_another_version_is_refused() -> None:
    text = to_json(report(faster())).replace(b'"up-default"', b'"up-by-pigeon"')

    with pytest.raises(ValueError, match="no rows up-by-pigeon"):
        from_json(text)


@pytest.mark.parametrize("text", [b"", b"[]", b'{"day": 3}'])
def test_a_malformed_report_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_json(text)
