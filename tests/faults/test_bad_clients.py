"""Clients that do not read, cut in, or talk nonsense: they harm only themselves."""

from __future__ import annotations

import contextlib
import socket
import struct
from random import Random
from typing import TYPE_CHECKING

from tests.e2e.clients import (
    MEGABYTE,
    blob,
    connected,
    exchange,
    receive_exactly,
    receive_until_cut,
)
from tests.e2e.ports import free_port
from tests.e2e.services import CHUNK
from tests.e2e.waiting import wait_until
from tests.faults.footprint import SLACK, Footprint
from tests.faults.proof import MARGIN, withstands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.scene import Scene

RESETS = 1000
STILL = 25
"""Looks in a row that show the same: nothing moves."""

RST = struct.pack("ii", 1, 0)  # struct linger: close() cuts the connection
LEAK = 4 * MEGABYTE
"""Bytes that this many clients may leave behind; a kilobyte of each would be a quarter of it."""


def send_without_end(connection: socket.socket) -> None:
    while True:
        connection.sendall(blob(MEGABYTE))


def wait_for_the_end(connection: socket.socket) -> None:
    while connection.recv(CHUNK):
        pass


@withstands("a client stops reading for good")
def test_a_slow_reader_holds_up_no_other_client(scene: Scene) -> None:
    port = free_port()
    scene.begins(local=(f"{port}:{scene.service(send_without_end)}",))
    before = scene.holds()
    with connected(port) as client:
        assert len(receive_exactly(client, MEGABYTE)) == MEGABYTE
        full = wait_until_nothing_moves(scene)
        for _ in range(50):
            scene.carries_data()
        assert full.memory <= before.memory + 2 * SLACK
    scene.stays_up(slack=2 * SLACK)


def wait_until_nothing_moves(scene: Scene) -> Footprint:
    """Return what the supervisor holds once all buffers between service and client are full."""
    seen = [-1]

    def nothing_moves() -> bool:
        seen.append(scene.program.tunnel("t").bytes_in)
        return len(seen) > STILL and len(set(seen[-STILL:])) == 1

    wait_until(nothing_moves, MARGIN, "the client is still being served")
    return scene.holds()


def cut_in(port: int, times: int) -> None:
    """Connect and reset at once, this many times; return when all were accepted."""
    for _ in range(times):
        with connected(port) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
    assert exchange(port) == b""


@withstands("clients reset while their channel opens, 1000 times")
def test_resets_while_channels_open_leak_nothing(scene: Scene) -> None:
    port = free_port()
    scene.begins("keepalive_count_max = 30", local=(f"{port}:{scene.service(wait_for_the_end)}",))
    scene.link.slow_down(rate=10 * MEGABYTE, delay=0.02)
    at_the_server = scene.server_descriptors()
    cut_in(port, RESETS)  # what the first of them need for good is no leak
    scene.leaves_nothing_behind(slack=4 * SLACK)
    scene.notes()
    cut_in(port, RESETS)
    scene.stays_up(LEAK)
    wait_until(
        lambda: scene.server_descriptors() <= at_the_server,
        within=MARGIN,
        complaint=lambda: f"sshd had {at_the_server} descriptors, now {scene.server_descriptors()}",
    )


@withstands("clients talk nonsense to the SOCKS port")
def test_nonsense_on_the_socks_port_ends_that_client_and_no_more(scene: Scene) -> None:
    port = free_port()
    scene.begins(f'socks = "{port}"')
    for words in nonsense(Random(7)):
        with connected(port) as client:
            with contextlib.suppress(OSError):  # it may be cut off before it has sent all
                client.sendall(words)
                client.shutdown(socket.SHUT_WR)
            receive_until_cut(client)
    scene.stays_up()


def nonsense(chance: Random) -> Iterator[bytes]:
    """Yield what no SOCKS proxy accepts: none of it is a complete CONNECT request."""
    request = b"\x05\x01\x00" + b"\x05\x01\x00\x03\x04host\x00\x50"
    yield from (request[:length] for length in range(1, len(request)))
    yield from (b"\x04\x01\x00\x50\x7f\x00\x00\x01nobody"[:length] for length in range(1, 14))
    yield b"\x04\x01\x00\x50\x00\x00\x00\x01" + b"x" * 100_000
    for _ in range(100):
        noise = chance.randbytes(chance.randrange(1, 2000))
        command = bytes([chance.randrange(2, 256)])
        yield bytes([chance.choice([*range(4), *range(6, 256)])]) + noise
        yield b"\x05" + bytes([chance.randrange(256)]) + bytes(each | 1 for each in noise)
        yield b"\x05\x01\x00\x05" + command + b"\x00" + noise
        yield b"\x04" + command + noise
