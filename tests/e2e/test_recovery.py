"""A server outage: status, retry delays, and the effect on clients."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.clients import (
    connect_and_receive,
    connected,
    exchange,
    is_listening,
    receive_until_cut,
)
from tests.e2e.ports import free_port
from tests.e2e.sandbox import Sandbox, socks_tunnel, tunnel_table
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until


def test_a_tunnel_reports_an_outage_and_recovers_soon_after_it(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    service = sandbox.service(echo)
    local_port, remote_port = free_port(), free_port()
    program = sandbox.program(
        tunnel_table(
            "t",
            server.port,
            f'local = "{local_port}:{service}"',
            f'remote = "{remote_port}:{service}"',
        )
    )
    program.up()
    program.wait_until_up()

    server.kill()
    down = program.wait_for_state("t", "backoff")
    assert down.failure is not None
    assert down.failure.cause in {"lost", "refused"}
    assert down.retry_at is not None
    assert is_listening(local_port)

    with ThreadPoolExecutor() as clients:
        held_client = clients.submit(exchange, local_port, b"during the outage")
        program.wait_for("t", lambda tunnel: tunnel.attempt >= 2)
        server.start()
        assert held_client.result() == b"during the outage"
    wait_until(lambda: is_listening(remote_port))
    assert exchange(remote_port, b"remote") == b"remote"
    program.wait_until_up()
    assert program.tunnel("t").restarts == 1
    assert program.tunnel("t").failure is None


def test_a_tunnel_connects_soon_after_a_stopped_server_starts(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    server.kill()
    port = free_port()
    program = sandbox.program(
        tunnel_table("t", server.port, f'local = "{port}:{sandbox.service(echo)}"')
    )
    program.up()
    program.wait_for_state("t", "backoff", "refused")

    server.start()

    program.wait_until_up()
    assert exchange(port, b"data") == b"data"


def test_a_server_that_answers_no_keepalive_is_reported_dead(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    program = sandbox.program(
        socks_tunnel("t", server.port, "keepalive_interval = 1", "keepalive_count_max = 1")
    )
    program.up()
    program.wait_until_up()
    rtt = program.wait_for("t", lambda tunnel: tunnel.rtt_ms is not None).rtt_ms

    server.suspend()
    program.wait_for_state("t", "backoff", "peer_dead")
    server.resume()

    program.wait_until_up()
    assert rtt is not None
    assert 0 < rtt < 1000


@pytest.mark.parametrize("hold_timeout", [0, 1])
def test_a_client_is_held_no_longer_than_hold_timeout(sandbox: Sandbox, hold_timeout: int) -> None:
    server = sandbox.sshd()
    port = free_port()
    program = sandbox.program(
        tunnel_table(
            "t",
            server.port,
            f'local = "{port}:{sandbox.service(echo)}"',
            f"hold_timeout = {hold_timeout}",
        )
    )
    program.up()
    program.wait_until_up()
    server.kill()
    program.wait_for_state("t", "backoff")

    started = time.monotonic()
    assert connect_and_receive(port) == b""
    waited = time.monotonic() - started

    assert hold_timeout - 0.1 <= waited < 10  # the default


def test_clients_of_a_lost_connection_are_closed(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    port = free_port()
    program = sandbox.program(
        tunnel_table("t", server.port, f'local = "{port}:{sandbox.service(echo)}"')
    )
    program.up()
    program.wait_until_up()

    with connected(port, timeout=30) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        server.kill()
        assert receive_until_cut(client) == b""
