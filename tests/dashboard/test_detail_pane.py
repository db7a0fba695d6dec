"""The pane of the selected tunnel: what it shows, in which order, and what it leaves out."""

from __future__ import annotations

import msgspec
import pytest

from tests.control.fakes import NOON, REFUSED, a_forward, a_tunnel
from tests.dashboard.sample_model import DB, NOW, SUPERVISOR, ControllerHarness, text_of
from tunnelkeeper.control.payloads import CountersEvent, ForwardCounters, TunnelCounters
from tunnelkeeper.core.snapshot import (
    CheckSnapshot,
    ClientFailureSnapshot,
    FailureSnapshot,
    HopSnapshot,
    LogRecord,
    ProgressSnapshot,
    TunnelSnapshot,
)

CHAIN = ["me@gate:22", "me@inner:2200", "me@box:22"]
LONG_FAILURE = FailureSnapshot(
    "host_key_changed", "me@box:22", "the host key has changed " * 9, "remove the old key", NOON
)


def pane(*tunnels: TunnelSnapshot, cells: int = 120, height: int = 60) -> list[str]:
    """Return the lines of the pane of the first tunnel."""
    harness = ControllerHarness(*tunnels)
    harness.controller.toggle_detail()
    return [text_of(line) for line in harness.draw(cells, height).detail]


def a_chain(state: str, *, connected: int = 0, **changes: object) -> TunnelSnapshot:
    hops = [HopSnapshot(host, connected=index < connected) for index, host in enumerate(CHAIN)]
    return a_tunnel("deep", state, host=CHAIN[-1], jump=CHAIN[:-1], hops=hops, **changes)


def hop_lines(lines: list[str]) -> list[str]:
    return [line[12:].rstrip() for line in lines if any(host in line[:30] for host in CHAIN)]


def test_problems_come_before_everything_else_and_the_hint_has_its_own_label() -> None:
    lines = pane(a_tunnel("db", "backoff", failure=REFUSED, attempt=2))
    labels = [line[:12].strip() for line in lines[1:]]

    assert [label for label in labels if label] == [
        *("Failure", "Hint", "Hops", "Forwards", "Events")
    ]
    assert "is sshd running?" in lines[3]


def test_the_events_do_not_repeat_the_hint() -> None:
    harness = ControllerHarness(a_tunnel("db", "backoff", failure=REFUSED))
    harness.model.on_logs([LogRecord(NOON, "warning", "db", "refused", REFUSED.hint)])
    harness.controller.toggle_detail()
    lines = [text_of(line) for line in harness.draw(120, 60).detail]

    assert sum(REFUSED.hint in line for line in lines) == 1


def test_the_hop_that_failed_is_marked_in_the_chain() -> None:
    failure = msgspec.structs.replace(REFUSED, hop="me@inner:2200")
    lines = pane(a_chain("backoff", failure=failure))

    assert hop_lines(lines) == ["○ me@gate:22", "✖ me@inner:2200  refused", "○ me@box:22"]


def test_the_hop_that_is_being_connected_is_marked_in_the_chain() -> None:
    progress = ProgressSnapshot("me@inner:2200", "key_exchange")
    lines = pane(a_chain("connecting", connected=1, progress=progress, failure=REFUSED))

    assert hop_lines(lines) == ["● me@gate:22", "◌ me@inner:2200  key exchange", "○ me@box:22"]


def test_a_failed_hop_is_marked_before_the_chain_is_resolved() -> None:
    failure = msgspec.structs.replace(REFUSED, hop="gate", cause="ssh_config")
    lines = pane(a_tunnel("db", "blocked", jump=["gate"], host="box", failure=failure))

    assert any("✖ gate  ssh config" in line for line in lines)


def test_a_failed_forward_is_named_beside_its_failure() -> None:
    lines = pane(a_tunnel("db", "degraded", forwards=[a_forward(state="failed", failure=REFUSED)]))

    assert lines[1].startswith(" Failure    refused  L 5432  ")


@pytest.mark.parametrize(("cells", "height"), [(60, 15), (80, 20), (200, 20)])
def test_a_pane_that_is_cut_says_how_many_lines_it_has(cells: int, height: int) -> None:
    forwards = [a_forward(listen=f"127.0.0.1:{port}") for port in range(9000, 9030)]
    tunnel = a_tunnel("db", "blocked", failure=LONG_FAILURE, forwards=forwards)
    lines = pane(tunnel, cells=cells, height=height)
    whole = pane(tunnel, cells=cells, height=height + 50)

    assert f" {len(lines) - 1} of " in lines[0]
    assert " lines " not in whole[0]


def test_nothing_is_cut_while_there_is_room() -> None:
    socket = "/run/user/1000/tunnels/production-postgres-primary.sock"
    forward = a_forward(listen=socket, connect="/var/run/postgresql/.s.PGSQL.5432")
    words = " ".join(
        line[12:]
        for line in pane(
            a_tunnel("db", "blocked", failure=LONG_FAILURE, forwards=[forward]), cells=80
        )
    )

    assert "…" not in words
    assert words.count("changed") == 10
    assert socket in words
    assert "/var/run/postgresql/.s.PGSQL.5432" in words


def test_less_important_sections_leave_the_rows_of_the_table_on_the_screen() -> None:
    harness = ControllerHarness(*(a_tunnel(f"t{number}", bytes_in=1) for number in range(12)))
    harness.controller.toggle_detail()

    assert len(harness.draw(80, 24).rows) == 12
    assert "Forwards" in harness.text(80, 24)
    assert "Events" not in harness.text(80, 24)


@pytest.mark.parametrize(
    ("cells", "height", "expected"),
    [(80, 24, "Traffic    ↓"), (80, 50, "ago, up to"), (120, 35, "ago, up to")],
)
def test_the_traffic_is_a_chart_if_there_is_room(cells: int, height: int, expected: str) -> None:
    harness = ControllerHarness(
        msgspec.structs.replace(DB, bytes_in=1), *(a_tunnel(f"t{n}") for n in range(6))
    )
    counters = TunnelCounters("db", [1.2], [ForwardCounters(50_001, 0, 1, 1)])
    harness.model.on_event(CountersEvent(SUPERVISOR, [counters]), NOW.monotonic + 1)
    harness.controller.toggle_detail()
    text = harness.text(cells, height)

    assert expected in text
    assert "↓ 50 kB/s" in text


def test_the_title_has_the_session_if_it_fits_and_a_line_has_it_otherwise() -> None:
    assert "aes128-gcm@openssh.com · group work ─" in pane(DB, cells=120)[0]
    long_name = msgspec.structs.replace(DB, name="a-very-long-name-of-a-tunnel")
    assert any(line.startswith(" Session    aes128-gcm") for line in pane(long_name, cells=60))


def test_the_detail_pane_shows_hops_forwards_and_the_whole_failure() -> None:
    harness = ControllerHarness()
    harness.controller.select("half")
    harness.controller.toggle_detail()
    text = harness.text(height=60)

    for expected in ("half  ◐ degraded", "me@relay:22", "L 5432 → db.internal:5432", "✖ L 80"):
        assert expected in text
    for expected in (
        "refused",
        "Connection refused",
        "Hint       is sshd running?",
        "aes128-gcm",
    ):
        assert expected in text


def test_a_tunnel_that_is_in_no_config_file_has_a_mark_and_its_end() -> None:
    tunnel = a_tunnel("pg", ad_hoc=True, ends_at="2026-11-22T14:03:12Z")
    harness = ControllerHarness(tunnel)
    title = pane(tunnel)[0]

    assert "● pg *  " in harness.text(80, 24)
    assert "pg  ● up for 3m 12s  ends in 2h ─" in title
    assert "in no config file · aes128" in title


def test_a_chart_that_would_break_an_address_is_left_out() -> None:
    target = "production-postgres-primary.cluster-c9akciq32.eu-west-1.rds.example.com:5432"
    lines = pane(a_tunnel("db", bytes_in=1, forwards=[a_forward(connect=target)]), height=35)

    assert any(target in line for line in lines)
    assert not any("ago, up to" in line[80:] for line in lines)


@pytest.mark.parametrize("recovered", [False, True])
def test_the_detail_pane_shows_clients_that_failed(recovered: bool) -> None:
    failure = ClientFailureSnapshot("db:5432: connect failed", "2026-11-22T12:03:07Z", 3, recovered)
    harness = ControllerHarness(a_tunnel("db", forwards=[a_forward(client_failure=failure)]))
    harness.controller.toggle_detail()
    text = harness.text(height=60)

    assert ("L 5432 -> db.internal:5432: the last 3 clients failed, 5s" in text) is not recovered


def test_the_detail_pane_names_a_server_that_ignores_keepalives() -> None:
    hops = [HopSnapshot("me@relay:22", connected=True, rtt_ms=1.2, answers_keepalives=False)]
    harness = ControllerHarness(a_tunnel("db", hops=hops))
    harness.controller.toggle_detail()

    assert "answers no keepalives" in harness.text(height=60)


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (CheckSnapshot("tcp", ok=True, at=NOON, ms=1.73), "no client yet  tcp 1.7 ms"),
        (CheckSnapshot("http", ok=False, at=NOON, message="500"), "http failed"),
        (CheckSnapshot("tcp"), "tcp unknown"),
    ],
)
def test_a_forward_shows_the_result_of_its_check(check: CheckSnapshot, expected: str) -> None:
    harness = ControllerHarness(a_tunnel("db", hops=[], forwards=[a_forward(check=check)]))
    harness.controller.toggle_detail()

    assert expected in harness.text()


def test_the_detail_pane_shows_the_events_of_the_selected_tunnel() -> None:
    harness = ControllerHarness()
    harness.controller.toggle_detail()

    assert any(
        line.lstrip().startswith("Events     12:00:00   connecting") for line in harness.lines()
    )


def test_a_connecting_tunnel_shows_its_step() -> None:
    progress = ProgressSnapshot("me@relay:22", "key_exchange")
    harness = ControllerHarness(
        msgspec.structs.replace(DB, state="connecting", progress=progress, attempt=2)
    )
    harness.controller.toggle_detail()

    assert "key exchange, try 2" in harness.text()
    assert "me@relay:22  1.2 ms  key exchange" in harness.text()
