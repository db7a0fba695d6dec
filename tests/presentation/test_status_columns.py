from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.control.fakes import REFUSED, a_forward, a_tunnel
from tunnelkeeper.core.snapshot import ProgressSnapshot, ReplacementSnapshot
from tunnelkeeper.presentation.status_columns import (
    STANDARD_WIDTH,
    forward_rows,
    render_status,
    status_row,
    summarize_states,
)
from tunnelkeeper.presentation.text_layout import KEPT_BLANK

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import ForwardSnapshot, TunnelSnapshot

NOW = datetime(2026, 11, 22, 12, 3, 12, tzinfo=UTC)
RETRY_AT = "2026-11-22T12:07:16Z"


def table(cells: int | None, *tunnels: TunnelSnapshot) -> list[str]:
    lines = render_status([status_row(tunnel, NOW) for tunnel in tunnels], cells)
    return ["".join(text for _, text in line) for line in lines]


def titles(cells: int | None, *tunnels: TunnelSnapshot) -> list[str]:
    return re.split(r"  +", table(cells, *tunnels)[0].strip())


def reason(tunnel: TunnelSnapshot) -> str:
    return status_row(tunnel, NOW).reason.replace(KEPT_BLANK, " ")


BACKOFF = a_tunnel("web", "backoff", failure=REFUSED, attempt=3, retry_at=RETRY_AT)
BUSY = a_tunnel(
    host="tunnel@relay.example.com:22",
    bytes_in=1234,
    bytes_out=15_000_000,
    forwards=[
        a_forward(),
        a_forward(kind="remote", listen="localhost:2222", connect="localhost:22"),
        a_forward(kind="socks", listen="localhost:1080", connect=None),
    ],
)


def test_without_a_terminal_every_column_is_as_wide_as_its_texts() -> None:
    socks = a_forward(kind="socks", listen="localhost:1080", connect=None)
    up = a_tunnel(host="me@h:22", forwards=[a_forward(), socks])
    away = a_tunnel(
        "web", "backoff", host="relay", failure=REFUSED, retry_at="2026-11-22T12:03:16Z"
    )

    assert table(None, up, away) == [
        "NAME  STATE    HOST   FORWARDS                    SINCE   IN / OUT   REASON",
        "db    up       me@h   L 5432 -> db.internal:5432  3m 12s  0 B / 0 B",
        "                      S 1080",
        "web   backoff  relay  L 5432 -> db.internal:5432  3m 12s  0 B / 0 B  refused, retry in 4s",
    ]
    assert titles(None, a_tunnel()) == titles(None, BACKOFF)


def test_the_least_important_columns_are_dropped_first() -> None:
    found = [titles(cells, BUSY) for cells in range(100, 39, -1)]

    assert list(dict.fromkeys(map(tuple, found))) == [
        ("NAME", "STATE", "HOST", "FORWARDS", "SINCE", "IN / OUT"),
        ("NAME", "STATE", "HOST", "FORWARDS", "SINCE"),
        ("NAME", "STATE", "HOST", "FORWARDS"),
        ("NAME", "STATE", "FORWARDS"),
    ]


def test_the_user_of_the_host_is_dropped_before_the_host() -> None:
    hosts = [
        re.split(r"  +", table(cells, BUSY)[1])[2]
        for cells in range(80, 40, -1)
        if "HOST" in titles(cells, BUSY)
    ]

    assert list(dict.fromkeys(hosts)) == ["tunnel@relay.example.com", "relay.example.com"]


def test_a_standard_terminal_shows_the_time_even_if_the_host_has_no_room() -> None:
    tunnel = msgspec.structs.replace(BACKOFF, host=f"tunnel@{'x' * 40}.example.com:22")

    assert titles(STANDARD_WIDTH, tunnel) == ["NAME", "STATE", "FORWARDS", "SINCE", "REASON"]
    assert "SINCE" not in titles(STANDARD_WIDTH - 1, tunnel)


def test_a_time_that_grows_and_bytes_that_are_counted_drop_no_column() -> None:
    new = a_tunnel(since="2026-11-22T12:03:10Z")
    old = a_tunnel(since="2026-11-21T12:40:10Z", bytes_in=150_000, bytes_out=1_200_000)

    for cells in range(40, 130):
        assert titles(cells, new) == titles(cells, old)


def test_the_target_of_a_forward_is_shown_if_there_is_room() -> None:
    long = a_forward(listen="*:80", connect=f"{'x' * 60}.internal:80")
    lines = table(STANDARD_WIDTH, a_tunnel(forwards=[long, a_forward()]))

    assert " L *:80 " in lines[1]
    assert "->" not in lines[1]
    assert "L 5432 -> db.internal:5432" in lines[2]


def test_an_empty_column_takes_no_space() -> None:
    assert "REASON" not in titles(120, a_tunnel())
    assert "FORWARDS" not in titles(120, a_tunnel(forwards=[]))


def test_long_names_are_cut_so_that_rows_stay_distinguishable() -> None:
    pair = [a_tunnel(f"eu-west-1-production-db-replica-{number}", "backoff") for number in (17, 18)]
    failing = [msgspec.structs.replace(t, failure=REFUSED, retry_at=RETRY_AT) for t in pair]
    names = [line.split()[0] for line in table(70, *failing) if line.startswith("eu-")]

    assert len(set(names)) == 2
    assert all("…" in name for name in names)
    assert [line.split()[0] for line in table(120, *pair)[1:]] == [tunnel.name for tunnel in pair]


def test_the_reason_is_below_the_row_on_a_narrow_terminal() -> None:
    tunnel = msgspec.structs.replace(BACKOFF, name="database-1")

    assert table(40, tunnel) == [
        "NAME        STATE    FORWARDS",
        "database-1  backoff  L 5432",
        "  refused, 3 times, retry in 4m 4s",
    ]


def test_a_long_local_end_is_not_broken_and_the_rest_of_its_row_follows_below() -> None:
    path = f"/run/user/1000/{'x' * 40}.sock"
    lines = table(STANDARD_WIDTH, a_tunnel(forwards=[a_forward(listen=path)]), BACKOFF)

    assert [line for line in lines if f"L {path}" in line]
    assert all(len(line) <= STANDARD_WIDTH for line in lines)


# -- texts of a row --------------------------------------------------------------------------------


def test_a_tunnel_in_backoff_shows_cause_count_and_next_retry() -> None:
    assert reason(BACKOFF) == "refused, 3 times, retry in 4m 4s"


def test_a_first_failure_has_no_count() -> None:
    assert reason(a_tunnel(state="backoff", failure=REFUSED, attempt=1)) == "refused"


@pytest.mark.parametrize(
    ("progress", "attempt", "text"),
    [
        (ProgressSnapshot("me@relay:22", "login"), 1, "login"),
        (ProgressSnapshot("me@relay:22", "login"), 3, "login, try 3"),
        (
            ProgressSnapshot("me@relay:22", "login", "waiting for a touch"),
            1,
            "login: waiting for a touch",
        ),
    ],
)
def test_a_connecting_tunnel_shows_its_step(
    progress: ProgressSnapshot, attempt: int, text: str
) -> None:
    tunnel = a_tunnel(state="connecting", progress=progress, attempt=attempt, failure=REFUSED)

    assert reason(tunnel) == text


@pytest.mark.parametrize(
    ("replacement", "text"),
    [
        (ReplacementSnapshot("connecting"), "replacing"),
        (
            ReplacementSnapshot("connecting", progress=ProgressSnapshot("me@relay:22", "login")),
            "replacing: login",
        ),
        (ReplacementSnapshot("backoff", failure=REFUSED), "not replaced"),
        (ReplacementSnapshot("draining", connections=2), "draining 2"),
    ],
)
def test_a_tunnel_shows_the_progress_of_its_replacement(
    replacement: ReplacementSnapshot, text: str
) -> None:
    assert reason(a_tunnel(replacement=replacement)) == text


def test_a_forward_that_does_not_work_is_marked() -> None:
    pending, failed = a_forward(state="pending"), a_forward(state="failed")

    assert (
        "L 5432 -> db.internal:5432 (pending)"
        in table(None, a_tunnel(state="degraded", forwards=[pending]))[1]
    )
    assert "pending" not in table(None, a_tunnel(state="backoff", forwards=[pending]))[1]
    assert "L 5432 (failed)" in table(40, a_tunnel(state="degraded", forwards=[failed]))[1]


def test_the_wide_table_has_a_complete_row_for_each_forward() -> None:
    first = a_forward(bytes_in=1, bytes_out=2)
    tunnel = a_tunnel(bytes_in=9, bytes_out=9, forwards=[first, a_forward(listen="*:80")])
    rows = forward_rows(tunnel, NOW)

    assert [row.name for row in rows] == ["db", "db"]
    assert [row.forwards[0][0].replace(KEPT_BLANK, " ") for row in rows] == [
        "L 5432 -> db.internal:5432",
        "L *:80 -> db.internal:5432",
    ]
    assert rows[0].traffic.replace(KEPT_BLANK, " ") == "1 B / 2 B"
    assert len(forward_rows(a_tunnel(forwards=[]), NOW)) == 1


def test_the_states_of_many_tunnels_are_counted() -> None:
    tunnels = [a_tunnel(), a_tunnel(), BACKOFF, a_tunnel(state="blocked")]
    summary = summarize_states(tunnels)

    assert "".join(text for _, text in summary) == "4 tunnels: 2 up, 1 backoff, 1 blocked"
    assert ("state.backoff", "1 backoff") in summary


# -- any tunnels, any width ------------------------------------------------------------------------

PORTS = st.integers(1, 65535)
HOSTS = st.builds(
    "{}{}:{}".format, st.sampled_from(["", "me@"]), st.text("ab.-", min_size=1, max_size=50), PORTS
)
ADDRESSES = st.builds("{}:{}".format, st.text("ab.-", min_size=1, max_size=40), PORTS)
PATHS = st.builds("/{}".format, st.text("ab./-", min_size=1, max_size=60))
FORWARDS = st.builds(
    lambda kind, listen, connect, state: a_forward(
        kind=kind, listen=listen, connect=None if kind == "socks" else connect, state=state
    ),
    st.sampled_from(["local", "remote", "socks"]),
    ADDRESSES | PATHS,
    ADDRESSES | PATHS,
    st.sampled_from(["listening", "failed"]),
)
TUNNELS = st.builds(
    lambda name, state, host, jump, forwards, retry_at: a_tunnel(
        name,
        state,
        host=host,
        jump=jump,
        forwards=forwards,
        retry_at=retry_at,
        attempt=3,
        failure=None if state == "up" else REFUSED,
    ),
    st.text("abc-", min_size=1, max_size=40),
    st.sampled_from(["up", "degraded", "connecting", "backoff", "blocked", "stopping", "stopped"]),
    HOSTS,
    st.lists(HOSTS, max_size=2),
    st.lists(FORWARDS, max_size=3),
    st.none() | st.just(RETRY_AT),
)
ANY_TABLE = given(st.lists(TUNNELS, min_size=1, max_size=4), st.integers(40, 200))
FEW = settings(max_examples=50, deadline=None)


@FEW
@ANY_TABLE
def test_no_line_is_wider_than_the_terminal_unless_a_single_token_is(
    tunnels: list[TunnelSnapshot], cells: int
) -> None:
    tokens = {local_end(f) for tunnel in tunnels for f in tunnel.forwards}

    for line in table(cells, *tunnels):
        assert len(line) <= cells or line in tokens


@FEW
@ANY_TABLE
def test_no_token_is_broken_and_local_ends_and_reasons_are_always_shown(
    tunnels: list[TunnelSnapshot], cells: int
) -> None:
    lines = table(cells, *tunnels)
    printed = "\n".join(lines)

    for tunnel in tunnels:
        assert tunnel.state in printed
        assert all(local_end(forward).partition(" (")[0] in printed for forward in tunnel.forwards)
        if tunnel.retry_at and tunnel.state != "up":
            assert "retry in 4m 4s" in printed
        if "SINCE" in lines[0]:
            assert "3m 12s" in printed


def local_end(forward: ForwardSnapshot) -> str:
    forms = status_row(a_tunnel(forwards=[forward]), NOW).forwards[0]
    return forms[-1].replace(KEPT_BLANK, " ")
