"""When a forward is checked, and what its results do to the connection."""

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
FORBIDDEN = CheckFailed("db:5432: prohibited", is_forbidden=True)
UNKNOWN = CheckImpossible("the server does not let us")


def replacements(results: list[CheckResult], *, every: float = 60.0) -> list[int]:
    """After which of the results the connection is replaced, each on the connection that is new."""
    health, now, found = Health(NOW), NOW, []
    for number, result in enumerate(results, 1):
        health, useless = record(health, result, CHECK, now)
        if useless:
            found.append(number)
            health = on_connected(health, now)
        now += every
    return found


def test_the_next_check_comes_an_interval_after_the_end_of_the_last() -> None:
    for result in (GOOD, BAD, FORBIDDEN, UNKNOWN):
        health, _ = record(Health(NOW), result, CHECK, NOW + 7)

        assert health.due_at == NOW + 7 + 60


def test_a_new_connection_is_checked_at_once_and_owes_nothing() -> None:
    health = on_connected(Health(NOW + 50, failed=2, replaced=1, may_replace_at=NOW + 900), NOW)

    assert health == Health(NOW, failed=0, replaced=1, may_replace_at=NOW + 900)


def test_consecutive_failures_request_a_replacement() -> None:
    assert replacements([BAD, BAD, BAD]) == [3]
    assert replacements([BAD, BAD, GOOD, BAD, BAD]) == []
    assert replacements([BAD, BAD, UNKNOWN, BAD]) == [4]


def test_another_connection_that_did_not_help_is_not_followed_by_a_third_soon() -> None:
    assert replacements([BAD] * 15) == [3]


def test_once_a_check_has_passed_a_connection_may_be_replaced_again() -> None:
    assert replacements([BAD, BAD, BAD, GOOD, BAD, BAD, BAD]) == [3, 7]


def test_while_no_check_passes_connections_are_replaced_ever_more_seldom() -> None:
    at = replacements([BAD] * 3000)
    waits = [60.0 * (later - earlier) for earlier, later in pairwise(at)]

    assert waits[:4] == [REPLACEMENT_DELAY * factor for factor in (1, 2, 4, 8)]
    assert set(waits[4:]) == {MAX_REPLACEMENT_DELAY}


@pytest.mark.parametrize("result", [FORBIDDEN, UNKNOWN])
def test_a_forbidden_or_impossible_check_requests_no_replacement(result: CheckResult) -> None:
    assert replacements([result] * 20) == []


def test_the_failure_of_a_check_keeps_its_message() -> None:
    assert BAD.failure.cause is Cause.CHECK_FAILED
    assert (BAD.failure.message, BAD.failure.hint) == ("db:5432: refused", "is it running?")
    assert not BAD.failure.needs_user


@given(st.lists(st.sampled_from([GOOD, BAD, FORBIDDEN, UNKNOWN]), max_size=60))
def test_between_two_replacements_a_check_has_passed_or_the_wait_is_over(
    results: list[CheckResult],
) -> None:
    at = replacements(results)
    for earlier, later in pairwise(at):
        assert GOOD in results[earlier:later] or (later - earlier) * 60 >= REPLACEMENT_DELAY
    for number in at:
        assert results[number - 1] is BAD
