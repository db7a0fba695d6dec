"""MaxStartups: parsed and applied as in sshd."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.relay.max_startups import LimitError, MaxStartups

NEARLY_ONE = 0.999999


def refused_of_a_hundred(limit: MaxStartups, unauthenticated: int) -> int:
    return sum(limit.refuses(unauthenticated, chance / 100) for chance in range(100))


def test_the_default_is_that_of_sshd() -> None:
    assert MaxStartups() == MaxStartups.parse("10:30:100")
    assert str(MaxStartups()) == "10:30:100"


@pytest.mark.parametrize(
    ("unauthenticated", "per_cent"),
    # sshd uses integer division, so the rate rises in steps.
    [(0, 0), (9, 0), (10, 30), (11, 30), (12, 31), (20, 37), (55, 65), (99, 99), (100, 100)],
)
def test_the_chance_of_a_refusal_rises_from_begin_to_full(
    unauthenticated: int, per_cent: int
) -> None:
    assert refused_of_a_hundred(MaxStartups(), unauthenticated) == per_cent


def test_a_single_number_is_a_hard_limit() -> None:
    limit = MaxStartups.parse("5")

    assert not limit.refuses(4, 0.0)
    assert limit.refuses(5, NEARLY_ONE)


def test_a_rate_of_100_refuses_all_from_begin() -> None:
    assert MaxStartups.parse("5:100:50").refuses(5, NEARLY_ONE)


@pytest.mark.parametrize("text", ["0", "0:30:0"])
def test_zero_is_no_limit(text: str) -> None:
    assert not MaxStartups.parse(text).refuses(1_000_000, 0.0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "begin:rate:full"),
        ("10:30", "begin:rate:full"),
        ("10:30:100:1", "begin:rate:full"),
        ("-1", "begin:rate:full"),
        ("10:30:100\n", "begin:rate:full"),
        ("٣", "begin:rate:full"),
        ("9999999", "begin:rate:full"),
        ("10:0:100", "from 1 to 100 percent, got 0"),
        ("10:101:100", "from 1 to 100 percent, got 101"),
        ("101:30:100", r"begin \(101\) is more than full \(100\)"),
    ],
)
def test_values_that_sshd_rejects_are_refused(text: str, reason: str) -> None:
    with pytest.raises(LimitError, match=reason):
        MaxStartups.parse(text)


@given(st.text())
def test_any_text_is_a_limit_or_a_limit_error(text: str) -> None:
    try:
        limit = MaxStartups.parse(text)
    except LimitError:
        return
    assert limit.full == 0 or MaxStartups.parse(str(limit)) == limit


@given(
    st.integers(0, 50),
    st.integers(1, 100),
    st.integers(0, 50),
    st.integers(0, 120),
    st.floats(0, 1, exclude_max=True),
)
def test_more_connections_never_make_a_refusal_less_likely(
    begin: int, rate: int, more: int, unauthenticated: int, chance: float
) -> None:
    limit = MaxStartups(begin, rate, begin + more)

    assert limit.refuses(unauthenticated + 1, chance) >= limit.refuses(unauthenticated, chance)
