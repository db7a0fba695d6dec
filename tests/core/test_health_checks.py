"""The schedule of health checks, and the replacement of unhealthy connections."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.failures import Cause
from tunnelkeeper.core.health_checks import (
    MAX_REPLACEMENT_DELAY,
    REPLACEMENT_DELAY,
    Check,
    CheckFailed,
    CheckImpossible,
    CheckPassed,
    CheckResult,
    Health,
    on_connected,
    record,
)
from tunnelkeeper.core.probes import TcpProbe

NOW = 1000.0
CHECK = Check(TcpProbe(), interval=60, timeout=10, failures=3)
GOOD, BAD = CheckPassed(0.01), CheckFailed("db:5432: refused", "is it running?")
FORBIDDEN = CheckFailed("db:5432: prohibited", keeps_connection=True)
UNKNOWN = CheckImpossible("the server does not let us")


def replacements(results: list[CheckResult], *, every: float = 60.0) -> list[int]:
    """Return the numbers of the results, from 1, after which the connection is replaced."""
    health, now, numbers = Health(NOW), NOW, []
    for number, result in enumerate(results, 1):
        health, unhealthy = record(health, result, CHECK, now)
        if unhealthy:
            numbers.append(number)
            health = on_connected(health, now)
        now += every
    return numbers


def test_the_next_check_is_due_one_interval_after_the_previous_one_ended() -> None:
    for result in (GOOD, BAD, FORBIDDEN, UNKNOWN):
        health, _ = record(Health(NOW), result, CHECK, NOW + 7)

        assert health.due_at == NOW + 7 + 60


def test_a_new_connection_is_checked_at_once_with_a_failure_count_of_zero() -> None:
    health = on_connected(Health(NOW + 50, failed=2, replaced=1, may_replace_at=NOW + 900), NOW)

    assert health == Health(NOW, failed=0, replaced=1, may_replace_at=NOW + 900)


def test_consecutive_failures_request_a_replacement() -> None:
    assert replacements([BAD, BAD, BAD]) == [3]
    assert replacements([BAD, BAD, GOOD, BAD, BAD]) == []
    assert replacements([BAD, BAD, UNKNOWN, BAD]) == [4]


def test_a_replacement_that_also_fails_is_not_replaced_again_soon() -> None:
    assert replacements([BAD] * 15) == [3]


def test_a_passed_check_allows_another_replacement() -> None:
    assert replacements([BAD, BAD, BAD, GOOD, BAD, BAD, BAD]) == [3, 7]


def test_the_delay_between_replacements_doubles_while_no_check_passes() -> None:
    numbers = replacements([BAD] * 3000)
    delays = [60.0 * (later - earlier) for earlier, later in pairwise(numbers)]

    assert delays[:4] == [REPLACEMENT_DELAY * factor for factor in (1, 2, 4, 8)]
    assert set(delays[4:]) == {MAX_REPLACEMENT_DELAY}


@pytest.mark.parametrize("result", [FORBIDDEN, UNKNOWN])
def test_a_forbidden_or_impossible_check_requests_no_replacement(result: CheckResult) -> None:
    assert replacements([result] * 20) == []


def test_the_failure_of_a_check_keeps_its_message() -> None:
    assert BAD.failure.cause is Cause.CHECK_FAILED
    assert (BAD.failure.message, BAD.failure.hint) == ("db:5432: refused", "is it running?")
    assert not BAD.failure.needs_user


@given(st.lists(st.sampled_from([GOOD, BAD, FORBIDDEN, UNKNOWN]), max_size=60))
def test_replacements_are_separated_by_a_passed_check_or_the_delay(
    results: list[CheckResult],
) -> None:
    numbers = replacements(results)
    for earlier, later in pairwise(numbers):
        assert GOOD in results[earlier:later] or (later - earlier) * 60 >= REPLACEMENT_DELAY
    for number in numbers:
        assert results[number - 1] is BAD
