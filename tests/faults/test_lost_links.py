"""Networks that drop, cut, close and crawl: what a tunnel notices, and that it comes back."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import MEGABYTE, blob, connected, exchange, receive_until_cut, sha256
from tests.e2e.ports import free_port
from tests.e2e.services import hash_sink, sender
from tests.e2e.waiting import wait_until
from tests.faults.proof import (
    AT_ONCE,
    BACKOFF,
    FREE_RETRY,
    MARGIN,
    UNANSWERED_KEEPALIVES,
    proves,
    withstands,
)

if TYPE_CHECKING:
    import socket

    from tests.faults.link import Direction
    from tests.faults.scene import Scene

SLOW_LINK = 200_000
"""Bytes a second: what is sent of a few megabytes waits for many keepalives."""


def send_without_end(connection: socket.socket) -> None:
    while True:
        connection.sendall(blob(MEGABYTE))


@proves(
    "black hole both ways, while idle",
    says=("backoff", "peer_dead"),
    noticed=UNANSWERED_KEEPALIVES,
    flows=BACKOFF,
)
def test_a_black_hole_is_found_by_unanswered_keepalives(scene: Scene) -> None:
    scene.begins()
    scene.link.hold()
    scene.says_so()
    scene.link.go()
    scene.recovers()


@proves(
    "a NAT forgets the connection, and passes new ones",
    says=("backoff", "peer_dead"),
    noticed=UNANSWERED_KEEPALIVES,
    flows=BACKOFF,
)
def test_a_forgotten_connection_is_replaced(scene: Scene) -> None:
    scene.begins()
    scene.link.forget()
    scene.says_so()
    scene.recovers()


@proves(
    "black hole both ways, in the middle of a download and an upload",
    says=("backoff", "peer_dead"),
    noticed=UNANSWERED_KEEPALIVES,
    flows=BACKOFF,
)
def test_a_black_hole_is_found_under_load(scene: Scene) -> None:
    down, up = free_port(), free_port()
    scene.begins(
        local=(
            f"{down}:{scene.service(send_without_end)}",
            f"{up}:{scene.service(hash_sink)}",
        )
    )
    with connected(down, timeout=60) as downloading, connected(up, timeout=60) as uploading:
        readers = [
            Thread(target=receive_until_cut, args=[each]) for each in (downloading, uploading)
        ]
        writer = Thread(target=send_until_cut, args=[uploading])
        for thread in (*readers, writer):
            thread.start()
        scene.program.wait_for("t", lambda t: min(t.bytes_in, t.bytes_out) > MEGABYTE, MARGIN)

        scene.link.hold()
        scene.says_so()
        for thread in (*readers, writer):
            thread.join()
    scene.link.go()
    scene.recovers()


@pytest.mark.parametrize("direction", ["to server", "to client"])
@proves(
    "black hole one way, either way",
    says=("backoff", "peer_dead"),
    noticed=UNANSWERED_KEEPALIVES,
    flows=BACKOFF,
)
def test_a_black_hole_one_way_is_found(scene: Scene, direction: Direction) -> None:
    scene.begins()
    scene.link.hold(direction)
    scene.says_so()
    scene.link.go()
    scene.recovers()


@withstands("black hole for less than the keepalives allow")
def test_a_short_black_hole_is_sat_out(scene: Scene) -> None:
    scene.begins("keepalive_count_max = 60")
    before = scene.link.heard("to server")
    scene.link.hold()
    wait_until(
        lambda: scene.link.heard("to server") >= before + 2,
        within=MARGIN,
        complaint="no keepalives were held",
    )
    scene.link.go()
    scene.stays_up()


@withstands("a bulk transfer fills a slow link")
def test_a_slow_link_full_of_data_is_no_dead_peer(scene: Scene) -> None:
    down, up = free_port(), free_port()
    data = blob(MEGABYTE)
    scene.begins(
        local=(f"{down}:{scene.service(sender(data))}", f"{up}:{scene.service(hash_sink)}")
    )
    scene.link.slow_down(SLOW_LINK, delay=0.1)
    assert exchange(up, data, timeout=60).decode() == sha256(data)
    assert exchange(down, timeout=60) == data
    scene.stays_up()


@proves("the connection is reset", says=("backoff", "lost"), noticed=AT_ONCE, flows=BACKOFF)
def test_a_reset_is_noticed_at_once(scene: Scene) -> None:
    scene.begins()
    scene.link.reset()
    scene.says_so()
    scene.recovers()


@proves(
    "the connection is closed cleanly", says=("backoff", "lost"), noticed=AT_ONCE, flows=BACKOFF
)
def test_a_clean_close_is_noticed_at_once(scene: Scene) -> None:
    scene.begins()
    scene.link.close()
    scene.says_so()
    scene.recovers()


@proves("the server's port refuses connections", says=("backoff", "refused"), flows=FREE_RETRY)
def test_a_stopped_listener_hurts_only_new_connections(scene: Scene) -> None:
    scene.begins()
    scene.link.stop_listening()
    scene.carries_data()
    scene.was_never_away()
    scene.link.reset()
    scene.says_so()
    scene.link.listen()
    scene.recovers()


def send_until_cut(connection: socket.socket) -> None:
    try:
        send_without_end(connection)
    except OSError:
        return
