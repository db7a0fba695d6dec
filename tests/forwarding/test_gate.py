from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.forwarding.fakes import FakeChannel
from tests.ssh.waiting import until
from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.forwarding.gate import Gate, OnError
from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.forward_spec import Address

TARGET = TcpAddress("db.internal", 5432)
ORIGIN = ("127.0.0.1", 4711)
PATIENCE = 30.0


@dataclass
class FakeConnection:
    """Opens channels, or does what `on_open` does instead."""

    on_open: Callable[[], None] = lambda: None
    is_closed: bool = False
    opened: list[tuple[Address, tuple[str, int]]] = field(default_factory=list)

    def open_channel(
        self, target: Address, end: ChannelEndpoint, origin: tuple[str, int], refused: OnError
    ) -> None:
        try:
            self.on_open()
        except ConnectError as why:
            refused(why)
            return
        self.opened.append((target, origin))
        end.connection_made(FakeChannel())


async def open_channel(gate: Gate, patience: float = PATIENCE) -> ChannelEndpoint:
    return await gate.connect(TARGET, ORIGIN, patience, Counters())


def refuse() -> None:
    raise ConnectError(Reason.REFUSED, "Connection refused")


async def test_a_client_goes_through_an_open_gate_at_once() -> None:
    gate, connection = Gate(), FakeConnection()
    gate.open(connection)

    await open_channel(gate)

    assert connection.opened == [(TARGET, ORIGIN)]


async def test_a_connection_that_ends_shuts_the_gate_only_if_clients_still_go_to_it() -> None:
    gate, old, new = Gate(), FakeConnection(), FakeConnection()
    gate.open(old)
    gate.open(new)

    gate.close_if(old)
    await open_channel(gate, patience=0)
    assert new.opened == [(TARGET, ORIGIN)]

    gate.close_if(new)
    with pytest.raises(ConnectError, match="away"):
        await open_channel(gate, patience=0)


async def test_clients_wait_at_a_shut_gate_and_are_served_when_the_connection_comes() -> None:
    gate, connection = Gate(), FakeConnection()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(PATIENCE):
        clients = [tasks.create_task(open_channel(gate)) for _ in range(3)]
        await until(lambda: len(gate._waiting) == len(clients))
        assert connection.opened == []
        gate.open(connection)

    assert len(connection.opened) == 3


async def test_a_client_without_patience_is_refused_at_once_when_the_connection_is_away() -> None:
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ConnectError, match="the tunnel's connection is away") as refused:
            await open_channel(Gate(), patience=0)

    assert refused.value.reason is Reason.FAILED


async def test_a_client_without_patience_is_served_by_a_connection_that_is_there() -> None:
    gate, connection = Gate(), FakeConnection()
    gate.open(connection)

    await open_channel(gate, patience=0)

    assert len(connection.opened) == 1


async def test_a_client_waits_no_longer_than_its_patience() -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(ConnectError):
        await open_channel(Gate(), patience=0.05)

    assert 0.04 < loop.time() - begun < 5


async def test_a_target_that_refuses_is_not_asked_again() -> None:
    gate, connection = Gate(), FakeConnection(refuse)
    gate.open(connection)

    with pytest.raises(ConnectError, match="Connection refused"):
        await open_channel(gate)


async def test_a_client_whose_connection_dies_while_opening_is_served_by_the_next() -> None:
    def die() -> None:
        dying.is_closed = True
        refuse()

    gate, dying, healthy = Gate(), FakeConnection(die), FakeConnection()
    gate.open(dying)
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(PATIENCE):
        tasks.create_task(open_channel(gate))
        await until(lambda: gate._opener is None)  # found out here first, nobody else need try
        gate.open(healthy)

    assert healthy.opened == [(TARGET, ORIGIN)]


async def test_a_connection_that_came_meanwhile_is_left_in_the_gate() -> None:
    def die() -> None:
        dying.is_closed = True
        gate.open(healthy)
        refuse()

    gate, dying, healthy = Gate(), FakeConnection(die), FakeConnection()
    gate.open(dying)

    async with asyncio.timeout(PATIENCE):
        await open_channel(gate)

    assert healthy.opened == [(TARGET, ORIGIN)]


async def test_patience_is_for_all_connections_together() -> None:
    def die() -> None:
        dying.is_closed = True
        refuse()

    gate, dying = Gate(), FakeConnection(die)
    gate.open(dying)

    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ConnectError, match="away"):
            await open_channel(gate, patience=0)


async def test_a_gate_that_is_shut_again_holds_those_who_come_then() -> None:
    gate, connection = Gate(), FakeConnection()
    gate.open(connection)
    gate.close()

    with pytest.raises(ConnectError):
        await open_channel(gate, patience=0)

    assert connection.opened == []
