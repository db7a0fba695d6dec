"""Any tunnels on a screen of any size: every line has its width, and forwards stay visible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.control.fakes import NOON, a_forward, a_tunnel
from tests.dashboard.sample_model import ControllerHarness, lines_of, text_of
from tunnelkeeper.core.snapshot import (
    FailureSnapshot,
    ForwardSnapshot,
    HopSnapshot,
    ProgressSnapshot,
    StateName,
    TunnelSnapshot,
)
from tunnelkeeper.dashboard.glyphs import ASCII, UNICODE
from tunnelkeeper.dashboard.screen import MIN_CELLS, MIN_HEIGHT
from tunnelkeeper.dashboard.text_width import line_width

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

PORTS = st.integers(1, 65535)
HOSTS = st.one_of(
    st.text(max_size=70), st.sampled_from(["me@relay:22", "开发@数据库.example:2200"])
)


@st.composite
def any_forward(draw: Any) -> ForwardSnapshot:
    return a_forward(
        kind=draw(st.sampled_from(["local", "remote", "socks"])),
        listen=f"127.0.0.1:{draw(PORTS)}",
        connect=draw(st.none() | HOSTS),
        state=draw(st.sampled_from(["listening", "pending", "failed"])),
        bytes_in=draw(st.integers(0, 2**50)),
        connections_total=draw(st.integers(0, 2**20)),
    )


@st.composite
def any_tunnel(draw: Any, name: str) -> TunnelSnapshot:
    hosts = draw(st.lists(HOSTS, min_size=1, max_size=3))
    failures = st.builds(
        FailureSnapshot, st.text(max_size=30), st.sampled_from(hosts), HOSTS, HOSTS, st.just(NOON)
    )
    return a_tunnel(
        name + draw(st.text(max_size=60)),
        draw(st.sampled_from(get_args(StateName))),
        host=hosts[-1],
        jump=hosts[:-1],
        hops=[HopSnapshot(host, draw(st.booleans()), draw(st.none() | PORTS)) for host in hosts],
        forwards=draw(st.lists(any_forward(), min_size=1, max_size=6)),
        failure=draw(st.none() | failures),
        attempt=draw(st.integers(0, 2**30)),
        bytes_in=draw(st.integers(0, 2**60)),
        restarts=draw(st.integers(0, 2**30)),
        progress=draw(st.none() | st.builds(ProgressSnapshot, HOSTS, st.just("login"))),
        groups=draw(st.lists(st.text(max_size=30), max_size=2)),
    )


def any_tunnels() -> SearchStrategy[list[TunnelSnapshot]]:
    return st.integers(1, 6).flatmap(
        lambda count: st.tuples(*(any_tunnel(f"{number}") for number in range(count))).map(list)
    )


@settings(max_examples=25, deadline=None)
@given(
    any_tunnels(),
    st.integers(MIN_CELLS, 220),
    st.integers(MIN_HEIGHT, 60),
    st.booleans(),
    st.sampled_from([UNICODE, ASCII]),
)
def test_every_line_has_its_width_and_every_row_a_forward(
    tunnels: list[TunnelSnapshot], cells: int, height: int, is_open: bool, glyphs: Any
) -> None:
    harness = ControllerHarness(*tunnels, glyphs=glyphs)
    harness.ui_state.is_detail_open = is_open
    screen = harness.draw(cells, height)
    lines = lines_of(screen)

    assert len(lines) == height
    assert {line_width(line) for line in lines} == {cells}
    assert screen.rows
    for name, line in zip(screen.rows, screen.body[2:], strict=False):
        port = harness.model.tunnels[name].forwards[0].listen.rpartition(":")[2]
        assert port in text_of(line)


@settings(max_examples=15, deadline=None)
@given(any_tunnels(), st.integers(1, 60), st.integers(1, 20), st.booleans())
def test_no_size_raises(
    tunnels: list[TunnelSnapshot], cells: int, height: int, is_open: bool
) -> None:
    harness = ControllerHarness(*tunnels)
    harness.ui_state.is_detail_open = is_open

    assert len(lines_of(harness.draw(cells, height))) == height
