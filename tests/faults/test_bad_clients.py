"""Clients that do not read, reset early or send invalid data: they affect no other client."""

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
from tests.faults.expectation import MARGIN, withstands
from tests.faults.footprint import SLACK, Footprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.scenario import Scenario

RESETS = 1000
STALLED_SAMPLES = 25
"""Consecutive equal samples of the byte counter that show that the transfer stands still."""

RST = struct.pack("ii", 1, 0)  # struct linger: close() resets the connection
LEAK = 4 * MEGABYTE
"""Bytes by which memory may grow; a leak of 1 kB per client would be a quarter of it."""


def send_forever(connection: socket.socket) -> None:
    while True:
        connection.sendall(blob(MEGABYTE))


def read_until_eof(connection: socket.socket) -> None:
    while connection.recv(CHUNK):
        pass


@withstands("a client stops reading for good")
def test_a_client_that_stops_reading_delays_no_other_client(scenario: Scenario) -> None:
    port = free_port()
    scenario.start_tunnel(local=(f"{port}:{scenario.service(send_forever)}",))
    before = scenario.footprint()
    with connected(port) as client:
        assert len(receive_exactly(client, MEGABYTE)) == MEGABYTE
        full = wait_until_transfer_stalls(scenario)
        for _ in range(50):
            scenario.check_data_flows()
        assert full.memory <= before.memory + 2 * SLACK
    scenario.check_stayed_up(slack=2 * SLACK)


def wait_until_transfer_stalls(scenario: Scenario) -> Footprint:
    """Return the supervisor's footprint once all buffers from service to client are full."""
    byte_counts = [-1]

    def has_stalled() -> bool:
        byte_counts.append(scenario.program.tunnel("t").bytes_in)
        return len(byte_counts) > STALLED_SAMPLES and len(set(byte_counts[-STALLED_SAMPLES:])) == 1

    wait_until(has_stalled, MARGIN, "data still flows to the client")
    return scenario.footprint()


def connect_and_reset(port: int, times: int) -> None:
    """Connect and reset at once, this many times; return when all were accepted."""
    for _ in range(times):
        with connected(port) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
    assert exchange(port) == b""


@withstands("clients reset while their channel opens, 1000 times")
def test_clients_that_reset_while_their_channel_opens_leak_nothing(scenario: Scenario) -> None:
    port = free_port()
    scenario.start_tunnel(
        "keepalive_count_max = 30", local=(f"{port}:{scenario.service(read_until_eof)}",)
    )
    scenario.link.slow_down(rate=10 * MEGABYTE, delay=0.02)
    descriptors_before = scenario.server_descriptors()
    connect_and_reset(port, RESETS)  # what the first resets allocate once is not a leak
    scenario.check_footprint(slack=4 * SLACK)
    scenario.record_footprint()
    connect_and_reset(port, RESETS)
    scenario.check_stayed_up(LEAK)
    wait_until(
        lambda: scenario.server_descriptors() <= descriptors_before,
        within=MARGIN,
        message=lambda: (
            f"sshd had {descriptors_before} descriptors, now {scenario.server_descriptors()}"
        ),
    )


@withstands("clients send invalid requests to the SOCKS port")
def test_an_invalid_socks_request_closes_only_the_client_that_sent_it(scenario: Scenario) -> None:
    port = free_port()
    scenario.start_tunnel(f'socks = "{port}"')
    for request in invalid_requests(Random(7)):
        with connected(port) as client:
            with contextlib.suppress(OSError):  # it may be closed before it has sent everything
                client.sendall(request)
                client.shutdown(socket.SHUT_WR)
            receive_until_cut(client)
    scenario.check_stayed_up()


def invalid_requests(rng: Random) -> Iterator[bytes]:
    """Yield requests that no SOCKS proxy accepts: none is a complete CONNECT request."""
    request = b"\x05\x01\x00" + b"\x05\x01\x00\x03\x04host\x00\x50"
    yield from (request[:length] for length in range(1, len(request)))
    yield from (b"\x04\x01\x00\x50\x7f\x00\x00\x01nobody"[:length] for length in range(1, 14))
    yield b"\x04\x01\x00\x50\x00\x00\x00\x01" + b"x" * 100_000
    for _ in range(100):
        noise = rng.randbytes(rng.randrange(1, 2000))
        command = bytes([rng.randrange(2, 256)])
        yield bytes([rng.choice([*range(4), *range(6, 256)])]) + noise
        yield b"\x05" + bytes([rng.randrange(256)]) + bytes(byte | 1 for byte in noise)
        yield b"\x05\x01\x00\x05" + command + b"\x00" + noise
        yield b"\x04" + command + noise
