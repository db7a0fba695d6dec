from __future__ import annotations

import statistics as python_statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.statistics import Spread, median, percentile, ratios, spread

numbers = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50)


@given(numbers)
def test_the_median_is_that_of_python(samples: list[float]) -> None:
    assert median(samples) == pytest.approx(python_statistics.median(samples))


def test_a_spread_has_the_median_minimum_and_maximum() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(median=2.0, least=1.0, most=3.0)


@pytest.mark.parametrize(
    ("percent", "sample"), [(0, 1), (1, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)]
)
def test_a_percentile_is_the_sample_at_the_nearest_rank(percent: float, sample: float) -> None:
    assert percentile(range(100, 0, -1), percent) == sample


@given(numbers, st.floats(0, 100))
def test_a_percentile_is_one_of_the_samples_and_has_its_share_below(
    samples: list[float], percent: float
) -> None:
    found = percentile(samples, percent)

    assert found in samples
    assert sum(sample <= found for sample in samples) >= len(samples) * percent / 100 - 1e-9


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_percentage_outside_0_to_100_is_an_error(percent: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 100"):
        percentile([1.0], percent)


def test_statistics_without_samples_are_an_error() -> None:
    with pytest.raises(ValueError, match="no median of no samples"):
        median([])
    with pytest.raises(ValueError, match="no percentile of no samples"):
        percentile([], 50)


def test_ratios_are_taken_round_by_round() -> None:
    # In the second round the machine was half as fast for both.
    assert ratios(ours=[100, 50], theirs=[50, 25]) == [2, 2]


def test_rounds_that_differ_in_number_are_not_paired() -> None:
    with pytest.raises(ValueError, match="2 samples cannot be paired with 1"):
        ratios([1, 2], [1])


def test_a_ratio_to_zero_is_an_error() -> None:
    with pytest.raises(ValueError, match="above zero"):
        ratios([1], [0])
