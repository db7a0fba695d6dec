"""The memory of what clients listened on until they left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.clock import iso
from tunnelkeeper.core.relay_snapshot import DepartureSnapshot
from tunnelkeeper.presentation.formatting import format_last_seen
from tunnelkeeper.relay.departures import MAX_DEPARTURES, MAX_PER_KEY, Departures
from tunnelkeeper.relay.registry import Name

LEFT = datetime(2026, 11, 22, 11, 4, 30, tzinfo=UTC)


def leave(departures: Departures, name: str, key: bytes = b"k", at: datetime = LEFT) -> Name:
    target = Name(name, 22)
    snapshot = DepartureSnapshot("name", str(target), "box", "SHA256:x", "192.0.2.1:5", iso(at))
    departures.record(target, ("box", key), snapshot)
    return target


def test_a_target_is_remembered_until_a_client_listens_on_it_again() -> None:
    departures = Departures()
    target = leave(departures, "box17")

    assert departures.describe(target, LEFT + timedelta(hours=3)).endswith(", 3 h ago")
    departures.forget(target)
    assert departures.describe(target, LEFT) == ""
    assert departures.snapshot() == []


def test_the_last_departure_of_a_target_counts() -> None:
    departures = Departures()
    leave(departures, "box17")
    target = leave(departures, "box17", at=LEFT + timedelta(hours=1))

    assert departures.describe(target, LEFT + timedelta(hours=3)).endswith(", 2 h ago")
    assert len(departures.snapshot()) == 1


def test_a_key_that_listens_on_many_names_drops_only_its_own() -> None:
    departures = Departures()
    leave(departures, "box17", key=b"honest")
    for number in range(3 * MAX_PER_KEY):
        leave(departures, f"n{number}", key=b"hostile")

    names = [departure.listen for departure in departures.snapshot()]
    assert names[0] == "box17:22"
    assert len(names) == 1 + MAX_PER_KEY
    assert names[-1] == f"n{3 * MAX_PER_KEY - 1}:22"


@given(st.lists(st.tuples(st.integers(0, 99), st.binary(max_size=1)), max_size=300))
def test_the_memory_is_bounded(left: list[tuple[int, bytes]]) -> None:
    departures = Departures()
    for number, key in left:
        leave(departures, f"n{number}", key)

    assert len(departures.snapshot()) <= len({number for number, _ in left})


def test_many_keys_drop_the_oldest_departure() -> None:
    departures = Departures()
    for number in range(MAX_DEPARTURES + 1):
        leave(departures, f"n{number}", key=str(number).encode())

    assert len(departures.snapshot()) == MAX_DEPARTURES
    assert departures.snapshot()[0].listen == "n1:22"


@pytest.mark.parametrize(
    ("passed", "expected"),
    [
        (timedelta(seconds=-5), "0 s ago"),
        (timedelta(seconds=59), "59 s ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=3, minutes=50), "3 h ago"),
        (timedelta(days=400), "400 d ago"),
    ],
)
def test_the_time_is_given_as_a_moment_and_as_an_age(passed: timedelta, expected: str) -> None:
    text = format_last_seen(iso(LEFT), LEFT + passed, utc=True)

    assert text == f"last seen 2026-11-22 11:04, {expected}"
