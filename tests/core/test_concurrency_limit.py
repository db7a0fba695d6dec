from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.concurrency_limit import MAX_LIMIT, SUCCESSES_PER_INCREASE, ConcurrencyLimit

companies = st.integers(1, MAX_LIMIT)


def after_logins(allowance: ConcurrencyLimit, count: int) -> ConcurrencyLimit:
    """With so many more that were let in, each as the last of as many as are allowed."""
    for _ in range(count):
        allowance = allowance.on_success(allowance.limit)
    return allowance


def test_a_server_that_turns_nobody_away_has_as_many_as_there_may_be() -> None:
    assert after_logins(ConcurrencyLimit(), 1000) == ConcurrencyLimit(MAX_LIMIT)


def test_half_of_those_that_were_too_many_may_come() -> None:
    assert ConcurrencyLimit().on_rejected(6) == ConcurrencyLimit(3)
    assert ConcurrencyLimit().on_rejected(5) == ConcurrencyLimit(2)
    assert ConcurrencyLimit().on_rejected(2) == ConcurrencyLimit(1)


def test_several_rejections_of_one_company_are_one_trouble() -> None:
    once = ConcurrencyLimit().on_rejected(4)

    assert once == ConcurrencyLimit(2)
    assert once.on_rejected(4) == once.on_rejected(6) == once


def test_whoever_was_turned_away_alone_was_not_too_many() -> None:
    assert ConcurrencyLimit().on_rejected(1) == ConcurrencyLimit()
    assert ConcurrencyLimit(1, successes=3).on_rejected(1) == ConcurrencyLimit(1)


def test_after_a_number_of_logins_one_more_may_come() -> None:
    nearly = after_logins(ConcurrencyLimit(1), SUCCESSES_PER_INCREASE - 1)

    assert nearly.limit == 1
    assert after_logins(nearly, 1) == ConcurrencyLimit(2)
    assert after_logins(
        ConcurrencyLimit(1), (MAX_LIMIT - 1) * SUCCESSES_PER_INCREASE
    ) == ConcurrencyLimit(MAX_LIMIT)


def test_a_rejection_has_the_logins_counted_anew() -> None:
    nearly = after_logins(ConcurrencyLimit(2), SUCCESSES_PER_INCREASE - 1)

    assert nearly.on_rejected(6) == ConcurrencyLimit(2)


def test_logins_in_less_company_than_allowed_prove_nothing() -> None:
    allowance = ConcurrencyLimit(3)
    for _ in range(10 * SUCCESSES_PER_INCREASE):
        allowance = allowance.on_success(in_flight=2)

    assert allowance == ConcurrencyLimit(3)


@given(st.lists(st.tuples(st.booleans(), companies)))
def test_there_is_always_room_for_one_and_never_for_more_than_the_most(
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
