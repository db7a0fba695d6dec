"""Penalties per source: addition, expiry and bounded memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.relay.penalties import MAX_SOURCES, PENALTY, Offence, Penalties

SOURCE = "192.0.2.7"
BEGIN = 1000.0


def noted(*offences: Offence, at: float = BEGIN, source: str = SOURCE) -> Penalties:
    penalties = Penalties()
    for offence in offences:
        penalties.add(source, offence, at)
    return penalties


def refused_for(penalties: Penalties, source: str = SOURCE) -> int:
    """Whole seconds after BEGIN for which a source is refused."""
    return sum(penalties.is_refused(source, BEGIN + second) for second in range(1, 1000))


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
        ([Offence.CRASH], 90),
        ([Offence.CRASH] * 100, 600),
    ],
)
def test_penalties_add_up_from_a_minimum_to_a_maximum(
    offences: list[Offence], seconds: int
) -> None:
    assert refused_for(noted(*offences)) == seconds


def test_expired_penalties_do_not_add_up() -> None:
    penalties = Penalties()
    for second in range(0, 100, 5):
        penalties.add(SOURCE, Offence.AUTHFAIL, BEGIN + second)

    assert not penalties.is_refused(SOURCE, BEGIN + 100)


def test_a_refused_source_stays_refused_until_its_penalty_ends() -> None:
    penalties = noted(*[Offence.AUTHFAIL] * 4)
    penalties.add(SOURCE, Offence.NOAUTH, BEGIN + 19)

    assert penalties.is_refused(SOURCE, BEGIN + 21)
    assert not penalties.is_refused(SOURCE, BEGIN + 21.1)


@pytest.mark.parametrize(
    ("noted_as", "asked_as", "expected"),
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
    noted_as: str, asked_as: str, expected: bool
) -> None:
    penalties = noted(Offence.CRASH, source=noted_as)

    assert penalties.is_refused(asked_as, BEGIN + 1) is expected


@pytest.mark.parametrize("source", ["", "localhost", "@", "1.2.3", "\0"])
def test_a_source_that_is_not_an_address_is_never_refused(source: str) -> None:
    penalties = noted(Offence.CRASH, source=source)

    assert not penalties.is_refused(source, BEGIN)
    assert len(penalties) == 0


def test_a_full_table_drops_the_penalty_that_ends_first() -> None:
    penalties = Penalties(max_sources=2)
    penalties.add("192.0.2.1", Offence.CRASH, BEGIN)
    penalties.add("192.0.2.2", Offence.CRASH, BEGIN + 1)
    penalties.add("192.0.2.1", Offence.CRASH, BEGIN + 2)
    penalties.add("192.0.2.3", Offence.CRASH, BEGIN + 3)

    refused = [n for n in (1, 2, 3) if penalties.is_refused(f"192.0.2.{n}", BEGIN + 4)]
    assert refused == [1, 3]


def test_ipv6_sources_never_displace_ipv4_sources() -> None:
    penalties = Penalties(max_sources=2)
    penalties.add(SOURCE, Offence.CRASH, BEGIN)
    for number in range(10):
        penalties.add(f"2001:db8:{number}::1", Offence.CRASH, BEGIN + number)

    assert penalties.is_refused(SOURCE, BEGIN + 10)
    assert len(penalties) == 3


def test_expired_penalties_are_removed() -> None:
    penalties = noted(Offence.AUTHFAIL)
    penalties.add("192.0.2.8", Offence.NOAUTH, BEGIN + 6)

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
    now = BEGIN
    for host, offence, pause in events:
        now += pause
        penalties.add(f"192.0.2.{host}", offence, now)
        penalties.add(f"2001:db8:{host}::1", offence, now)

        assert len(penalties) <= 2 * max_sources
        for table in penalties._tables.values():
            assert len(table._ends) <= 2 * max_sources
            assert {key for _, key in table._ends} >= set(table._penalties)


def test_repeated_penalties_of_one_source_do_not_grow_the_heap() -> None:
    penalties = Penalties(max_sources=2)
    for second in range(100):
        penalties.add(SOURCE, Offence.GRACE_EXCEEDED, BEGIN + second)

        assert len(penalties._tables[4]._ends) <= 4
    assert penalties.is_refused(SOURCE, BEGIN + 600)


@given(st.lists(st.tuples(st.sampled_from(Offence), st.floats(0, 30)), max_size=100))
def test_a_penalty_never_exceeds_the_maximum(
    events: list[tuple[Offence, float]],
) -> None:
    penalties = Penalties()
    now = BEGIN
    for offence, pause in events:
        now += pause
        penalties.add(SOURCE, offence, now)

    assert not penalties.is_refused(SOURCE, now + 600.1)
