"""The filter and the sort order of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.control.fakes import a_tunnel
from tests.dashboard.sample_model import ALL, SUPERVISOR, make_model
from tunnelkeeper.control.payloads import CountersEvent, ForwardCounters, TunnelCounters
from tunnelkeeper.dashboard.filter_sort import (
    NO_PROBLEM,
    SORT_KEYS,
    Filter,
    Sorting,
    SortKey,
    problem_rank,
    visible_tunnels,
)

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import TunnelSnapshot


def names(text: str = "", sorting: Sorting | None = None) -> list[str]:
    return [
        tunnel.name for tunnel in visible_tunnels(make_model(), Filter(text), sorting or Sorting())
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [tunnel.name for tunnel in ALL]),
        ("DE", ["deep"]),
        ("b1", ["deep"]),
        ("refused", ["half", "away", "stuck"]),
        ("state=up", ["db", "deep"]),
        ("state=backoff,blocked", ["away", "stuck"]),
        ("state=b", ["away", "stuck"]),
        ("group=work", ["db", "away"]),
        ("group=work state=up", ["db"]),
        ("5432 group=night", ["away"]),
        ("nothing-like-it", []),
    ],
)
def test_a_filter_matches_words_states_and_groups(text: str, expected: list[str]) -> None:
    assert names(text) == expected


def test_the_default_order_is_that_of_the_file() -> None:
    assert names() == [tunnel.name for tunnel in ALL]
    assert names(sorting=Sorting("name")) == sorted(tunnel.name for tunnel in ALL)
    assert names(sorting=Sorting("config", is_reversed=True)) == [t.name for t in ALL[::-1]]


def test_sorting_by_state_puts_tunnels_that_need_the_user_first() -> None:
    assert names(sorting=Sorting("state")) == ["stuck", "away", "half", "db", "deep", "spare"]


def test_numbers_are_sorted_with_the_largest_first() -> None:
    model = make_model(a_tunnel("one", restarts=1), a_tunnel("many", restarts=7), a_tunnel("none"))

    tunnels = visible_tunnels(model, Filter(), Sorting("restarts"))
    assert [tunnel.name for tunnel in tunnels] == ["many", "one", "none"]


def test_traffic_is_sorted_by_the_current_rate() -> None:
    model = make_model(a_tunnel("still"), a_tunnel("busy"))
    counters = TunnelCounters("busy", [], [ForwardCounters(5000, 0, 1, 1)])
    model.on_event(CountersEvent(SUPERVISOR, [counters]), model.counters_at + 1)

    tunnels = visible_tunnels(model, Filter(), Sorting("in"))
    assert [tunnel.name for tunnel in tunnels] == ["busy", "still"]


@pytest.mark.parametrize("key", SORT_KEYS)
def test_every_column_can_be_sorted_in_both_orders(key: SortKey) -> None:
    assert sorted(names(sorting=Sorting(key))) == sorted(names())
    assert Sorting(key).toggle(key).is_descending != Sorting(key).is_descending


def test_sorting_by_the_next_column_returns_to_the_order_of_the_file() -> None:
    sorting = Sorting()
    for _ in SORT_KEYS:
        sorting = sorting.next_column()

    assert sorting == Sorting()


@given(st.permutations(ALL), st.sampled_from(SORT_KEYS), st.booleans())
def test_problems_come_first_and_keep_the_order_of_the_table(
    tunnels: list[TunnelSnapshot], key: SortKey, is_reversed: bool
) -> None:
    model = make_model(*tunnels)
    plain = visible_tunnels(model, Filter(), Sorting(key, is_reversed))
    ranked = visible_tunnels(model, Filter(), Sorting(key, is_reversed, problems_first=True))

    ranks = [problem_rank(tunnel, model) for tunnel in ranked]
    assert ranks == sorted(ranks)
    for rank in set(ranks):
        assert [t for t in ranked if problem_rank(t, model) == rank] == [
            t for t in plain if problem_rank(t, model) == rank
        ]
    assert {t.name for t in ranked if problem_rank(t, model) == NO_PROBLEM} == {
        "db",
        "deep",
        "spare",
    }


def test_another_attempt_leaves_a_row_in_its_place() -> None:
    waiting = a_tunnel("away", "backoff", attempt=2)
    trying = a_tunnel("away", "connecting", attempt=3)
    first = a_tunnel("new", "connecting", attempt=1)
    model = make_model(waiting)

    assert problem_rank(waiting, model) == problem_rank(trying, model) < NO_PROBLEM
    assert problem_rank(first, model) == NO_PROBLEM
