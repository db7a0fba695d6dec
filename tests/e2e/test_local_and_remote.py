"""Local and remote forwards on one connection: data both ways, addresses, and status."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.e2e.clients import (
    MEGABYTE,
    blob,
    connected,
    exchange,
    is_listening,
    receive_all,
    receive_exactly,
    sha256,
)
from tests.e2e.ports import free_port
from tests.e2e.sandbox import Sandbox, tunnel_table
from tests.e2e.services import echo, hash_sink, sender
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from tests.e2e.program import Program

BLOB = 50 * MEGABYTE
CHUNK = 16 * 1024
OTHER_LOOPBACK = "127.0.0.2"  # reachable only if all interfaces are bound


class Tunnel(NamedTuple):
    program: Program
    local: dict[str, int]
    remote: dict[str, int]


@pytest.fixture(scope="module")
def tunnel(sandbox_per_data_path: Sandbox) -> Tunnel:
    """Run one tunnel with a local and a remote forward to each service."""
    services = {
        name: sandbox_per_data_path.service(handler)
        for name, handler in {"echo": echo, "sink": hash_sink, "blob": sender(blob(BLOB))}.items()
    }
    local = {name: free_port() for name in [*services, "gateway"]}
    remote = {name: free_port() for name in [*services, "gateway"]}
    locals_ = [f"{local[name]}:{service}" for name, service in services.items()]
    remotes = [f"{remote[name]}:{service}" for name, service in services.items()]
    locals_.append(f"*:{local['gateway']}:{services['echo']}")
    remotes += [f"*:{remote['gateway']}:{services['echo']}", f"0:{services['echo']}"]
    program = sandbox_per_data_path.program(
        tunnel_table(
            "t",
            sandbox_per_data_path.sshd(GatewayPorts="clientspecified").port,
            f"local = {locals_}",
            f"remote = {remotes}",
        )
    )
    program.up()
    program.wait_until_up()
    return Tunnel(program, local, remote)


@pytest.mark.parametrize("side", ["local", "remote"])
def test_carries_data_both_ways_at_once(tunnel: Tunnel, side: str) -> None:
    port = getattr(tunnel, side)["echo"]

    data = blob(3 * MEGABYTE)
    assert exchange(port, data) == data


@pytest.mark.parametrize("side", ["local", "remote"])
def test_carries_a_large_blob_from_the_target_intact(tunnel: Tunnel, side: str) -> None:
    port = getattr(tunnel, side)["blob"]

    assert sha256(exchange(port, timeout=60)) == sha256(blob(BLOB))


@pytest.mark.parametrize("side", ["local", "remote"])
def test_carries_a_large_blob_to_the_target_and_its_answer_after_eof(
    tunnel: Tunnel, side: str
) -> None:
    port = getattr(tunnel, side)["sink"]

    assert exchange(port, blob(BLOB), timeout=60).decode() == sha256(blob(BLOB))


@pytest.mark.parametrize("side", ["local", "remote"])
def test_listens_on_both_loopback_addresses_only(tunnel: Tunnel, side: str) -> None:
    port = getattr(tunnel, side)["echo"]

    assert exchange(("::1", port), b"IPv6") == b"IPv6"
    assert not is_listening((OTHER_LOOPBACK, port))


@pytest.mark.parametrize("side", ["local", "remote"])
def test_a_star_binds_every_interface(tunnel: Tunnel, side: str) -> None:
    port = getattr(tunnel, side)["gateway"]

    assert exchange((OTHER_LOOPBACK, port), b"from outside") == b"from outside"


def test_status_shows_the_port_that_the_server_chose(tunnel: Tunnel) -> None:
    forwards = tunnel.program.tunnel("t").forwards
    configured = {str(port) for port in tunnel.remote.values()}
    listens = [forward.listen for forward in forwards if forward.kind == "remote"]
    chosen = [
        int(port) for listen in listens if (port := listen.rpartition(":")[2]) not in configured
    ]

    assert len(chosen) == 1
    assert chosen[0] > 0
    assert exchange(chosen[0], b"data") == b"data"


def test_status_counts_connections_and_bytes_of_each_forward(tunnel: Tunnel) -> None:
    def counts() -> tuple[int, int, int, int]:
        forward = next(
            forward
            for forward in tunnel.program.tunnel("t").forwards
            if forward.listen.endswith(f":{tunnel.local['echo']}")
        )
        return (
            forward.connections,
            forward.connections_total,
            forward.bytes_in,
            forward.bytes_out,
        )

    wait_until(lambda: counts()[0] == 0)
    _, total, bytes_in, bytes_out = counts()

    with connected(tunnel.local["echo"]) as client:
        client.sendall(b"12345")
        assert receive_exactly(client, 5) == b"12345"
        open_now = counts()

    assert open_now == (1, total + 1, bytes_in + 5, bytes_out + 5)
    wait_until(lambda: counts()[0] == 0)


def test_a_client_that_resets_affects_no_other_client(tunnel: Tunnel) -> None:
    with connected(tunnel.local["echo"]) as other_client:
        other_client.sendall(b"before")
        assert receive_exactly(other_client, 6) == b"before"
        with connected(tunnel.local["blob"]) as resetting:
            receive_exactly(resetting, 1)
            # With a linger time of zero, close() sends a reset (socket(7), SO_LINGER).
            resetting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        other_client.sendall(b"after")
        other_client.shutdown(socket.SHUT_WR)

        assert receive_all(other_client) == b"after"
    wait_until(lambda: tunnel.program.tunnel("t").connections == 0)


def test_a_slow_reader_uses_little_memory(tunnel: Tunnel) -> None:
    def memory() -> int:
        return tunnel.program.status().supervisor.memory_bytes

    before = peak = memory()
    with connected(tunnel.local["blob"]) as slow:
        for _ in range(500):  # during each status request some hundred kilobytes can arrive
            assert slow.recv(CHUNK)
            peak = max(peak, memory())

    # A channel window is 2 MB and grows only if the reader keeps up.
    assert peak - before < 10 * MEGABYTE
