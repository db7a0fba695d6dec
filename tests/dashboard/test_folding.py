"""Which rows the table has: tunnels, and folded groups."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tests.control.fakes import a_tunnel
from tests.dashboard.sample_model import AWAY, DB, DEEP, make_model
from tunnelkeeper.core.snapshot import TunnelSnapshot
from tunnelkeeper.dashboard.filter_sort import Filter
from tunnelkeeper.dashboard.folding import (
    FoldedGroup,
    find_row,
    fold,
    group_names,
    group_of,
    table_rows,
    tunnels_of,
)
from tunnelkeeper.dashboard.glyphs import UNICODE
from tunnelkeeper.dashboard.ui_state import UiState

if TYPE_CHECKING:
    from collections.abc import Sequence

GROUPS = st.sampled_from(["eu", "us", "night"])
TUNNELS = st.lists(st.lists(GROUPS, unique=True, max_size=3)).map(
    lambda groups: [a_tunnel(f"t{index}", groups=names) for index, names in enumerate(groups)]
)
FOLDED = st.sets(GROUPS)


@given(TUNNELS, FOLDED)
def test_every_tunnel_is_in_exactly_one_row_and_groups_keep_the_order_of_the_table(
    tunnels: Sequence[TunnelSnapshot], folded: set[str]
) -> None:
    inside = [tunnel for row in fold(tunnels, folded) for tunnel in tunnels_of(row)]

    assert sorted(tunnel.name for tunnel in inside) == sorted(tunnel.name for tunnel in tunnels)
    for group in group_names(tunnels):
        places = [tunnels.index(tunnel) for tunnel in inside if group_of(tunnel) == group]
        assert places == sorted(places)


@given(TUNNELS, FOLDED)
def test_while_a_group_is_folded_every_group_stands_in_the_place_of_its_first_tunnel(
    tunnels: Sequence[TunnelSnapshot], folded: set[str]
) -> None:
    rows = fold(tunnels, folded)
    if not any(isinstance(row, FoldedGroup) for row in rows):
        assert rows == tunnels
        return
    inside = [tunnel for row in rows for tunnel in tunnels_of(row)]
    blocks = [list(block) for _, block in groupby(inside, lambda t: group_of(t) or f"-{t.name}")]

    assert len([block for block in blocks if group_of(block[0])]) == len(group_names(tunnels))
    firsts = [tunnels.index(block[0]) for block in blocks]
    assert firsts == sorted(firsts)


@given(TUNNELS, FOLDED)
def test_a_folded_group_is_one_row_with_the_tunnels_that_name_it_first(
    tunnels: Sequence[TunnelSnapshot], folded: set[str]
) -> None:
    rows = fold(tunnels, folded)

    groups = [row for row in rows if isinstance(row, FoldedGroup)]
    assert {group.name for group in groups} == {*group_names(tunnels)} & folded
    assert len({group.name for group in groups}) == len(groups)
    for group in groups:
        assert {group_of(tunnel) for tunnel in group.tunnels} == {group.name}
    single = [row for row in rows if isinstance(row, TunnelSnapshot)]
    assert not any(group_of(tunnel) in folded for tunnel in single)


@given(TUNNELS, FOLDED)
def test_the_row_of_every_tunnel_is_found(
    tunnels: Sequence[TunnelSnapshot], folded: set[str]
) -> None:
    rows = fold(tunnels, folded)

    for tunnel in tunnels:
        index = find_row(rows, tunnel.name)
        assert index is not None
        assert tunnel in tunnels_of(rows[index])
    assert find_row(rows, "unknown") is None


def test_a_tunnel_without_a_group_is_never_folded() -> None:
    assert fold([DB, DEEP, AWAY], {"work", ""}) == [FoldedGroup("work", (DB, AWAY)), DEEP]


def test_a_filter_shows_what_it_finds_in_a_folded_group() -> None:
    ui_state = UiState(UNICODE, folded={"work"})
    assert FoldedGroup("work", (DB, AWAY)) in table_rows(make_model(), ui_state)
    ui_state.filter = Filter("awa")

    assert table_rows(make_model(), ui_state) == [AWAY]
