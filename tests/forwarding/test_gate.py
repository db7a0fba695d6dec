from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.forwarding.fakes import FakeChannel
from tests.ssh.waiting import until
from tunnelkeeper.core.connect_error import ConnectError, OnError, Reason
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.forwarding.gate import Gate
from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.forward_spec import Address

TARGET = TcpAddress("db.internal", 5432)
ORIGIN = ("127.0.0.1", 4711)
TIMEOUT = 30.0


@dataclass
class FakeConnection:
    """Opens channels after on_open, which may raise an error instead."""

    on_open: Callable[[], None] = lambda: None
    is_closed: bool = False
    opened: list[tuple[Address, tuple[str, int]]] = field(default_factory=list)

    def open_channel(
        self, target: Address, endpoint: ChannelEndpoint, origin: tuple[str, int], on_error: OnError
    ) -> None:
        try:
            self.on_open()
        except ConnectError as error:
            on_error(error)
            return
        self.opened.append((target, origin))
        endpoint.connection_made(FakeChannel())


async def open_channel(gate: Gate, timeout: float = TIMEOUT) -> ChannelEndpoint:
    return await gate.connect(TARGET, ORIGIN, timeout, Counters())


def refuse() -> None:
    raise ConnectError(Reason.REFUSED, "Connection refused")


async def test_an_open_gate_passes_a_client_on_at_once() -> None:
    gate, connection = Gate(), FakeConnection()
    gate.open(connection)

    await open_channel(gate)

    assert connection.opened == [(TARGET, ORIGIN)]


async def test_a_connection_that_ends_closes_the_gate_only_if_it_serves_new_clients() -> None:
    gate, old, new = Gate(), FakeConnection(), FakeConnection()
    gate.open(old)
    gate.open(new)

    gate.close_if(old)
    await open_channel(gate, timeout=0)
    assert new.opened == [(TARGET, ORIGIN)]

    gate.close_if(new)
    with pytest.raises(ConnectError, match="away"):
        await open_channel(gate, timeout=0)


async def test_clients_wait_at_a_closed_gate_until_it_opens() -> None:
    gate, connection = Gate(), FakeConnection()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(TIMEOUT):
        clients = [tasks.create_task(open_channel(gate)) for _ in range(3)]
        await until(lambda: len(gate._waiting) == len(clients))
        assert connection.opened == []
        gate.open(connection)

    assert len(connection.opened) == 3


async def test_a_client_without_timeout_is_rejected_at_once_by_a_closed_gate() -> None:
    async with asyncio.timeout(TIMEOUT):
        with pytest.raises(ConnectError, match="the tunnel's connection is away") as raised:
            await open_channel(Gate(), timeout=0)

    assert raised.value.reason is Reason.FAILED


async def test_a_client_without_timeout_is_served_by_an_open_gate() -> None:
    gate, connection = Gate(), FakeConnection()
    gate.open(connection)

    await open_channel(gate, timeout=0)

    assert len(connection.opened) == 1


async def test_a_client_waits_no_longer_than_its_timeout() -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with asyncio.timeout(TIMEOUT):
        with pytest.raises(ConnectError):
            await open_channel(Gate(), timeout=0.05)

    assert loop.time() - started > 0.04


async def test_a_refused_target_is_not_tried_again() -> None:
    gate, connection = Gate(), FakeConnection(refuse)
    gate.open(connection)

    with pytest.raises(ConnectError, match="Connection refused"):
        await open_channel(gate)


async def test_a_client_whose_connection_ends_while_opening_is_served_by_the_next() -> None:
    def close_and_refuse() -> None:
        failing.is_closed = True
        refuse()

    gate, failing, healthy = Gate(), FakeConnection(close_and_refuse), FakeConnection()
    gate.open(failing)
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(TIMEOUT):
        tasks.create_task(open_channel(gate))
        await until(lambda: gate._opener is None)  # the failed open closed the gate
        gate.open(healthy)

    assert healthy.opened == [(TARGET, ORIGIN)]


async def test_a_failed_open_on_an_old_connection_leaves_the_new_one_in_the_gate() -> None:
    def close_and_refuse() -> None:
        failing.is_closed = True
        gate.open(healthy)
        refuse()

    gate, failing, healthy = Gate(), FakeConnection(close_and_refuse), FakeConnection()
    gate.open(failing)

    async with asyncio.timeout(TIMEOUT):
        await open_channel(gate)

    assert healthy.opened == [(TARGET, ORIGIN)]


async def test_the_timeout_spans_all_connections() -> None:
    def close_and_refuse() -> None:
        failing.is_closed = True
        refuse()

    gate, failing = Gate(), FakeConnection(close_and_refuse)
    gate.open(failing)

    async with asyncio.timeout(TIMEOUT):
        with pytest.raises(ConnectError, match="away"):
            await open_channel(gate, timeout=0)


async def test_a_gate_that_is_closed_again_holds_new_clients() -> None:
    gate, connection = Gate(), FakeConnection()
    gate.open(connection)
    gate.close()

    with pytest.raises(ConnectError):
        await open_channel(gate, timeout=0)

    assert connection.opened == []
