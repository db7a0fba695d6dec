from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.allowance import LOGINS_FOR_ONE_MORE, MOST, Allowance

companies = st.integers(1, MOST)


def after_logins(allowance: Allowance, count: int) -> Allowance:
    """With so many more that were let in, each as the last of as many as are allowed."""
    for _ in range(count):
        allowance = allowance.after_login(allowance.at_once)
    return allowance


def test_a_server_that_turns_nobody_away_has_as_many_as_there_may_be() -> None:
    assert after_logins(Allowance(), 1000) == Allowance(MOST)


def test_half_of_those_that_were_too_many_may_come() -> None:
    assert Allowance().after_rejection(6) == Allowance(3)
    assert Allowance().after_rejection(5) == Allowance(2)
    assert Allowance().after_rejection(2) == Allowance(1)


def test_several_rejections_of_one_company_are_one_trouble() -> None:
    once = Allowance().after_rejection(4)

    assert once == Allowance(2)
    assert once.after_rejection(4) == once.after_rejection(6) == once


def test_whoever_was_turned_away_alone_was_not_too_many() -> None:
    assert Allowance().after_rejection(1) == Allowance()
    assert Allowance(1, logins=3).after_rejection(1) == Allowance(1)


def test_after_a_number_of_logins_one_more_may_come() -> None:
    nearly = after_logins(Allowance(1), LOGINS_FOR_ONE_MORE - 1)

    assert nearly.at_once == 1
    assert after_logins(nearly, 1) == Allowance(2)
    assert after_logins(Allowance(1), (MOST - 1) * LOGINS_FOR_ONE_MORE) == Allowance(MOST)


def test_a_rejection_has_the_logins_counted_anew() -> None:
    nearly = after_logins(Allowance(2), LOGINS_FOR_ONE_MORE - 1)

    assert nearly.after_rejection(6) == Allowance(2)


def test_logins_in_less_company_than_allowed_prove_nothing() -> None:
    allowance = Allowance(3)
    for _ in range(10 * LOGINS_FOR_ONE_MORE):
        allowance = allowance.after_login(company=2)

    assert allowance == Allowance(3)


@given(st.lists(st.tuples(st.booleans(), companies)))
def test_there_is_always_room_for_one_and_never_for_more_than_the_most(
    visits: list[tuple[bool, int]],
) -> None:
    allowance = Allowance()
    for was_let_in, company in visits:
        before = allowance
        if was_let_in:
            allowance = before.after_login(company)
            assert before.at_once <= allowance.at_once <= before.at_once + 1
        else:
            allowance = before.after_rejection(company)
            assert allowance.at_once <= before.at_once

        assert 1 <= allowance.at_once <= MOST
        assert 0 <= allowance.logins < LOGINS_FOR_ONE_MORE
