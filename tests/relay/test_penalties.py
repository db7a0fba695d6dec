"""Penalties per source: addition, expiry and bounded memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.relay.penalties import MAX_SOURCES, PENALTY, Offence, Penalties

SOURCE = "192.0.2.7"
START = 1000.0


def with_offences(*offences: Offence, at: float = START, source: str = SOURCE) -> Penalties:
    penalties = Penalties()
    for offence in offences:
        penalties.add(source, offence, at)
    return penalties


def refused_for(penalties: Penalties, source: str = SOURCE) -> int:
    """Return the whole seconds after START for which a source is refused."""
    return sum(penalties.is_refused(source, START + second) for second in range(1, 1000))


def test_the_penalties_are_those_of_sshd_config() -> None:
    assert {offence.value: PENALTY[offence] for offence in Offence} == {
        "crash": 90,
        "authfail": 5,
        "noauth": 1,
        "invaliduser": 5,
        "grace-exceeded": 10,
    }
    assert MAX_SOURCES == 65536


@pytest.mark.parametrize(
    ("offences", "seconds"),
    [
        ([], 0),
        ([Offence.AUTHFAIL], 0),
        ([Offence.AUTHFAIL] * 3, 0),  # 15 s: refused only beyond the minimum
        ([Offence.AUTHFAIL] * 4, 20),
        ([Offence.NOAUTH] * 15, 0),
        ([Offence.NOAUTH] * 16, 16),
        ([Offence.INVALIDUSER] * 4, 20),
        ([Offence.GRACE_EXCEEDED, Offence.AUTHFAIL, Offence.NOAUTH], 16),
        ([Offence.GRACE_EXCEEDED], 0),
        ([Offence.GRACE_EXCEEDED] * 2, 20),
        ([Offence.GRACE_EXCEEDED] * 100, 600),
        ([Offence.CRASH], 90),
        ([Offence.CRASH] * 100, 600),
    ],
)
def test_penalties_add_up_from_a_minimum_to_a_maximum(
    offences: list[Offence], seconds: int
) -> None:
    assert refused_for(with_offences(*offences)) == seconds


def test_expired_penalties_do_not_add_up() -> None:
    penalties = Penalties()
    for second in range(0, 100, 5):
        penalties.add(SOURCE, Offence.AUTHFAIL, START + second)

    assert not penalties.is_refused(SOURCE, START + 100)


def test_a_refused_source_stays_refused_until_its_penalty_ends() -> None:
    penalties = with_offences(*[Offence.AUTHFAIL] * 4)
    penalties.add(SOURCE, Offence.NOAUTH, START + 19)

    assert penalties.is_refused(SOURCE, START + 21)
    assert not penalties.is_refused(SOURCE, START + 21.1)


@pytest.mark.parametrize(
    ("penalized", "checked", "expected"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::1", True),
        ("::192.0.2.7", "192.0.2.7", False),
    ],
)
def test_a_source_is_an_ipv4_address_or_an_ipv6_network(
    penalized: str, checked: str, expected: bool
) -> None:
    penalties = with_offences(Offence.CRASH, source=penalized)

    assert penalties.is_refused(checked, START + 1) is expected


@pytest.mark.parametrize("source", ["", "localhost", "@", "1.2.3", "\0"])
def test_a_source_that_is_not_an_address_is_never_refused(source: str) -> None:
    penalties = with_offences(Offence.CRASH, source=source)

    assert not penalties.is_refused(source, START)
    assert len(penalties) == 0


def test_a_full_table_drops_the_penalty_that_ends_first() -> None:
    penalties = Penalties(max_sources=2)
    penalties.add("192.0.2.1", Offence.CRASH, START)
    penalties.add("192.0.2.2", Offence.CRASH, START + 1)
    penalties.add("192.0.2.1", Offence.CRASH, START + 2)
    penalties.add("192.0.2.3", Offence.CRASH, START + 3)

    refused = [n for n in (1, 2, 3) if penalties.is_refused(f"192.0.2.{n}", START + 4)]
    assert refused == [1, 3]


def test_ipv6_sources_never_displace_ipv4_sources() -> None:
    penalties = Penalties(max_sources=2)
    penalties.add(SOURCE, Offence.CRASH, START)
    for number in range(10):
        penalties.add(f"2001:db8:{number}::1", Offence.CRASH, START + number)

    assert penalties.is_refused(SOURCE, START + 10)
    assert len(penalties) == 3


def test_expired_penalties_are_removed() -> None:
    penalties = with_offences(Offence.AUTHFAIL)
    penalties.add("192.0.2.8", Offence.NOAUTH, START + 6)

    assert len(penalties) == 1


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from(Offence), st.floats(0, 30)), max_size=200
    ),
    st.integers(1, 4),
)
def test_a_table_never_exceeds_its_bound_and_never_keeps_stale_ends(
    events: list[tuple[int, Offence, float]], max_sources: int
) -> None:
    penalties = Penalties(max_sources)
    now = START
    for host, offence, delay in events:
        now += delay
        penalties.add(f"192.0.2.{host}", offence, now)
        penalties.add(f"2001:db8:{host}::1", offence, now)

        assert len(penalties) <= 2 * max_sources
        for table in penalties._tables.values():
            assert len(table._ends) <= 2 * max_sources
            assert {key for _, key in table._ends} >= set(table._penalties)


def test_repeated_penalties_of_one_source_do_not_grow_the_heap() -> None:
    penalties = Penalties(max_sources=2)
    for second in range(100):
        penalties.add(SOURCE, Offence.GRACE_EXCEEDED, START + second)

        assert len(penalties._tables[4]._ends) <= 4
    assert penalties.is_refused(SOURCE, START + 600)


@given(st.lists(st.tuples(st.sampled_from(Offence), st.floats(0, 30)), max_size=100))
def test_a_penalty_never_exceeds_the_maximum(
    events: list[tuple[Offence, float]],
) -> None:
    penalties = Penalties()
    now = START
    for offence, delay in events:
        now += delay
        penalties.add(SOURCE, offence, now)

    assert not penalties.is_refused(SOURCE, now + 600.1)
