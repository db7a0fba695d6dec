"""Clients that fail, and servers that forbid a forward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.ports import free_port
from tests.fake_clock import until
from tests.tunnel.fake_ssh import LOST
from tests.tunnel.harness import (
    make_tunnel,
    runner_harness,
    send_request,
    snapshot_of,
    wait_for_state,
)
from tunnelkeeper.core.forward_spec import TcpAddress, parse_local
from tunnelkeeper.core.health_checks import Check
from tunnelkeeper.core.probes import TcpProbe

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import ClientFailureSnapshot
    from tunnelkeeper.tunnel.runner import Runner

DATABASE = TcpAddress("db", 5432)
OTHER = TcpAddress("other", 80)
SOCKS_REQUEST = b"\x05\x01\x00\x05\x01\x00\x03\x05other\x00\x50"  # RFC 1928: connect to other:80


def client_failure(runner: Runner) -> ClientFailureSnapshot:
    [forward] = snapshot_of(runner).forwards
    assert forward.client_failure is not None
    return forward.client_failure


async def fail(port: int) -> None:
    with pytest.raises(ConnectionResetError):
        await send_request(port, b"hello")


async def test_failed_clients_are_counted_until_one_is_served() -> None:
    port = free_port()
    async with runner_harness() as harness:
        runner, connection = await harness.connect(make_tunnel(local=[f"{port}:db:5432"]))
        assert snapshot_of(runner).forwards[0].client_failure is None

        connection.unreachable.add(DATABASE)
        await fail(port)
        await fail(port)
        failure = client_failure(runner)
        assert (failure.message, failure.count) == ("db:5432: connect failed", 2)
        assert not failure.recovered
        assert snapshot_of(runner).state == "up"

        connection.unreachable.clear()
        await send_request(port, b"hello")
        assert client_failure(runner).recovered


async def test_a_forbidden_forward_degrades_the_tunnel_until_a_client_is_served() -> None:
    port = free_port()
    async with runner_harness() as harness:
        runner, connection = await harness.connect(make_tunnel(local=[f"{port}:db:5432"]))
        connection.denied.add(DATABASE)

        await fail(port)
        await wait_for_state(runner, "degraded")
        await fail(port)

        [forward] = snapshot_of(runner).forwards
        assert forward.state == "failed"
        assert forward.failure is not None
        assert forward.failure.cause == "forward_denied"
        assert client_failure(runner).count == 2

        connection.denied.clear()
        assert await send_request(port, b"hello") == b"HELLO"
        await wait_for_state(runner, "up")


async def test_the_next_connection_may_permit_what_the_last_one_forbade() -> None:
    port = free_port()
    async with runner_harness() as harness:
        runner, connection = await harness.connect(make_tunnel(local=[f"{port}:db:5432"]))
        connection.denied.add(DATABASE)
        await fail(port)
        await wait_for_state(runner, "degraded")

        connection.lose(LOST)
        await wait_for_state(runner, "backoff")
        assert snapshot_of(runner).forwards[0].failure is None
        await harness.clock.advance(60)
        (await harness.next_attempt()).succeed()
        await wait_for_state(runner, "up")

        assert client_failure(runner).count == 1


async def test_a_check_that_passes_ends_the_denial() -> None:
    port = free_port()
    forward = parse_local(f"{port}:db:5432")
    async with runner_harness() as harness:
        tunnel = make_tunnel(forwards=(forward,), checks={forward: Check(TcpProbe(), interval=60)})
        runner, connection = await harness.connect(tunnel)
        connection.denied.add(DATABASE)
        await fail(port)
        await wait_for_state(runner, "degraded")

        connection.denied.clear()
        await harness.clock.advance(60)

        await wait_for_state(runner, "up")


async def test_a_socks_proxy_is_degraded_while_the_server_serves_no_target() -> None:
    port = free_port()
    async with runner_harness() as harness:
        runner, connection = await harness.connect(make_tunnel(socks=[str(port)]))
        connection.denied.add(OTHER)

        await send_request(port, SOCKS_REQUEST)
        await wait_for_state(runner, "degraded")
        connection.denied.clear()
        await send_request(port, SOCKS_REQUEST)
        await wait_for_state(runner, "up")


async def test_a_single_forbidden_target_of_a_socks_proxy_does_not_degrade_the_tunnel() -> None:
    port = free_port()
    async with runner_harness() as harness:
        runner, connection = await harness.connect(make_tunnel(socks=[str(port)]))
        await send_request(port, SOCKS_REQUEST)
        connection.denied.add(OTHER)

        await send_request(port, SOCKS_REQUEST)
        await until(lambda: client_failure(runner).count == 1)

        assert snapshot_of(runner).state == "up"
        assert snapshot_of(runner).forwards[0].state == "listening"
