from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.concurrency_limit import MAX_LIMIT, SUCCESSES_PER_INCREASE, ConcurrencyLimit

companies = st.integers(1, MAX_LIMIT)


def after_logins(allowance: ConcurrencyLimit, count: int) -> ConcurrencyLimit:
    """Return the limit after a number of successes at the limit."""
    for _ in range(count):
        allowance = allowance.on_success(allowance.limit)
    return allowance


def test_a_server_that_rejects_nothing_keeps_the_maximum_limit() -> None:
    assert after_logins(ConcurrencyLimit(), 1000) == ConcurrencyLimit(MAX_LIMIT)


def test_a_rejection_halves_the_number_in_flight() -> None:
    assert ConcurrencyLimit().on_rejected(6) == ConcurrencyLimit(3)
    assert ConcurrencyLimit().on_rejected(5) == ConcurrencyLimit(2)
    assert ConcurrencyLimit().on_rejected(2) == ConcurrencyLimit(1)


def test_rejections_of_concurrent_handshakes_halve_the_limit_once() -> None:
    once = ConcurrencyLimit().on_rejected(4)

    assert once == ConcurrencyLimit(2)
    assert once.on_rejected(4) == once.on_rejected(6) == once


def test_the_rejection_of_a_single_handshake_keeps_the_limit() -> None:
    assert ConcurrencyLimit().on_rejected(1) == ConcurrencyLimit()
    assert ConcurrencyLimit(1, successes=3).on_rejected(1) == ConcurrencyLimit(1)


def test_the_limit_grows_by_one_after_a_number_of_successes() -> None:
    nearly = after_logins(ConcurrencyLimit(1), SUCCESSES_PER_INCREASE - 1)

    assert nearly.limit == 1
    assert after_logins(nearly, 1) == ConcurrencyLimit(2)
    assert after_logins(
        ConcurrencyLimit(1), (MAX_LIMIT - 1) * SUCCESSES_PER_INCREASE
    ) == ConcurrencyLimit(MAX_LIMIT)


def test_a_rejection_resets_the_count_of_successes() -> None:
    nearly = after_logins(ConcurrencyLimit(2), SUCCESSES_PER_INCREASE - 1)

    assert nearly.on_rejected(6) == ConcurrencyLimit(2)


def test_successes_below_the_limit_do_not_count() -> None:
    allowance = ConcurrencyLimit(3)
    for _ in range(10 * SUCCESSES_PER_INCREASE):
        allowance = allowance.on_success(in_flight=2)

    assert allowance == ConcurrencyLimit(3)


@given(st.lists(st.tuples(st.booleans(), companies)))
def test_the_limit_stays_between_one_and_the_maximum(
    visits: list[tuple[bool, int]],
) -> None:
    allowance = ConcurrencyLimit()
    for was_let_in, company in visits:
        before = allowance
        if was_let_in:
            allowance = before.on_success(company)
            assert before.limit <= allowance.limit <= before.limit + 1
        else:
            allowance = before.on_rejected(company)
            assert allowance.limit <= before.limit

        assert 1 <= allowance.limit <= MAX_LIMIT
        assert 0 <= allowance.successes < SUCCESSES_PER_INCREASE
