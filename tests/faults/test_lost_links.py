"""Connections that are dropped, reset, closed or slow: detection and recovery."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import MEGABYTE, blob, connected, exchange, receive_until_cut, sha256
from tests.e2e.ports import free_port
from tests.e2e.services import hash_sink, sender
from tests.e2e.waiting import wait_until
from tests.faults.expectation import (
    AT_ONCE,
    BACKOFF,
    EARLY_RETRY,
    MARGIN,
    UNANSWERED_KEEPALIVES,
    expects,
    withstands,
)

if TYPE_CHECKING:
    import socket

    from tests.faults.link import Direction
    from tests.faults.scenario import Scenario

SLOW_LINK = 200_000
"""Bytes a second: a few megabytes take longer than many keepalive intervals."""


def send_forever(connection: socket.socket) -> None:
    while True:
        connection.sendall(blob(MEGABYTE))


@expects(
    "black hole both ways, while idle",
    status=("backoff", "peer_dead"),
    reported_within=UNANSWERED_KEEPALIVES,
    recovered_within=BACKOFF,
)
def test_a_black_hole_is_detected_by_unanswered_keepalives(scenario: Scenario) -> None:
    scenario.start_tunnel()
    scenario.link.hold()
    scenario.wait_for_expected_status()
    scenario.link.resume()
    scenario.check_recovery()


@expects(
    "a NAT forgets the connection and passes new ones",
    status=("backoff", "peer_dead"),
    reported_within=UNANSWERED_KEEPALIVES,
    recovered_within=BACKOFF,
)
def test_a_connection_that_a_nat_forgot_is_replaced(scenario: Scenario) -> None:
    scenario.start_tunnel()
    scenario.link.forget_connections()
    scenario.wait_for_expected_status()
    scenario.check_recovery()


@expects(
    "black hole both ways, during a download and an upload",
    status=("backoff", "peer_dead"),
    reported_within=UNANSWERED_KEEPALIVES,
    recovered_within=BACKOFF,
)
def test_a_black_hole_is_detected_during_transfers(scenario: Scenario) -> None:
    down, up = free_port(), free_port()
    scenario.start_tunnel(
        local=(
            f"{down}:{scenario.service(send_forever)}",
            f"{up}:{scenario.service(hash_sink)}",
        )
    )
    with connected(down, timeout=60) as downloading, connected(up, timeout=60) as uploading:
        readers = [
            Thread(target=receive_until_cut, args=[client]) for client in (downloading, uploading)
        ]
        writer = Thread(target=send_until_cut, args=[uploading])
        for thread in (*readers, writer):
            thread.start()
        scenario.program.wait_for("t", lambda t: min(t.bytes_in, t.bytes_out) > MEGABYTE, MARGIN)

        scenario.link.hold()
        scenario.wait_for_expected_status()
        for thread in (*readers, writer):
            thread.join()
    scenario.link.resume()
    scenario.check_recovery()


@pytest.mark.parametrize("direction", ["to server", "to client"])
@expects(
    "black hole in one direction, tested for both",
    status=("backoff", "peer_dead"),
    reported_within=UNANSWERED_KEEPALIVES,
    recovered_within=BACKOFF,
)
def test_a_black_hole_in_one_direction_is_detected(
    scenario: Scenario, direction: Direction
) -> None:
    scenario.start_tunnel()
    scenario.link.hold(direction)
    scenario.wait_for_expected_status()
    scenario.link.resume()
    scenario.check_recovery()


@withstands("black hole for less than the keepalives allow")
def test_a_connection_survives_a_short_black_hole(scenario: Scenario) -> None:
    scenario.start_tunnel("keepalive_count_max = 60")
    before = scenario.link.send_count("to server")
    scenario.link.hold()
    wait_until(
        lambda: scenario.link.send_count("to server") >= before + 2,
        within=MARGIN,
        message="no keepalives were held",
    )
    scenario.link.resume()
    scenario.check_stayed_up()


@withstands("a bulk transfer fills a slow link")
def test_a_saturated_slow_link_is_not_a_dead_peer(scenario: Scenario) -> None:
    down, up = free_port(), free_port()
    data = blob(MEGABYTE)
    scenario.start_tunnel(
        local=(f"{down}:{scenario.service(sender(data))}", f"{up}:{scenario.service(hash_sink)}")
    )
    scenario.link.slow_down(SLOW_LINK, delay=0.1)
    assert exchange(up, data, timeout=60).decode() == sha256(data)
    assert exchange(down, timeout=60) == data
    scenario.check_stayed_up()


@expects(
    "the connection is reset",
    status=("backoff", "lost"),
    reported_within=AT_ONCE,
    recovered_within=BACKOFF,
)
def test_a_reset_is_reported_at_once(scenario: Scenario) -> None:
    scenario.start_tunnel()
    scenario.link.reset()
    scenario.wait_for_expected_status()
    scenario.check_recovery()


@expects(
    "the connection is closed cleanly",
    status=("backoff", "lost"),
    reported_within=AT_ONCE,
    recovered_within=BACKOFF,
)
def test_a_clean_close_is_reported_at_once(scenario: Scenario) -> None:
    scenario.start_tunnel()
    scenario.link.close()
    scenario.wait_for_expected_status()
    scenario.check_recovery()


@expects(
    "the server's port refuses connections",
    status=("backoff", "refused"),
    recovered_within=EARLY_RETRY,
)
def test_a_closed_listener_affects_only_new_connections(scenario: Scenario) -> None:
    scenario.start_tunnel()
    scenario.link.stop_listening()
    scenario.check_data_flows()
    scenario.check_never_down()
    scenario.link.reset()
    scenario.wait_for_expected_status()
    scenario.link.listen()
    scenario.check_recovery()


def send_until_cut(connection: socket.socket) -> None:
    try:
        send_forever(connection)
    except OSError:
        return
