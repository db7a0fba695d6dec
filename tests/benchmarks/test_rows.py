from __future__ import annotations

import pytest

from benchmarks.measures.limits import CHECKS
from benchmarks.rows import KEYS, LIMITS, ROWS, Better, Contender, Row, without
from benchmarks.run import MEASURES

each_row = pytest.mark.parametrize("row", ROWS, ids=[row.key for row in ROWS])


def test_a_key_stands_for_one_row() -> None:
    assert len(set(KEYS)) == len(KEYS)


@each_row
def test_a_row_has_a_measure(row: Row) -> None:
    assert row.measure in MEASURES


@each_row
def test_the_aim_is_not_easier_than_what_is_required(row: Row) -> None:
    assert row.is_met(row.aim)


@each_row
def test_what_is_required_is_met_when_it_is_just_reached(row: Row) -> None:
    a_little_worse = row.required * (0.999 if row.better is Better.MORE else 1.001)

    assert row.is_met(row.required)
    assert not row.is_met(a_little_worse)


def test_every_limit_has_a_check() -> None:
    assert set(CHECKS) == {limit.key for limit in LIMITS}


def test_the_rows_against_a_missing_program_can_be_left_out() -> None:
    left = without(Contender.GO, KEYS)

    assert set(KEYS) - set(left) == {row.key for row in ROWS if row.against is Contender.GO}
    assert without(Contender.GO, ["up", "up-go", "idle"]) == ["up", "idle"]


def test_every_peer_is_compared_by_speed_round_trip_and_connections() -> None:
    for peer in (Contender.SSH_GCM, Contender.MASTER, Contender.GO):
        figures = {(row.measure, row.figure) for row in ROWS if row.against is peer}

        assert figures >= {
            ("streams", "up"),
            ("streams", "down"),
            ("rtt", "p50"),
            ("connect", "1"),
            ("connect", "50"),
        }
