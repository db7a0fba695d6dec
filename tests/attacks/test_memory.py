"""The memory that clients of the relay and servers of the supervisor can occupy."""

from __future__ import annotations

import asyncio
import logging
import resource
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from tests.attacks.honest_client import HonestClient
from tests.attacks.stuck_channels_attack import (
    MEMORY,
    SETTINGS,
    StuckSession,
    fill_names_that_are_not_read,
    fill_targets_that_do_not_read,
    stuck_listener,
)
from tests.attacks.victim import HOST, start_victim
from tests.forwarding.services import blob, echo, exchange, service
from tests.relay.in_process_relay import LOOPBACK, InProcessRelay, new_key, serve_relay
from tests.ssh.server import connected, serve
from tests.ssh.waiting import until
from tunnelkeeper.core.budget import Resource
from tunnelkeeper.core.forward_spec import RemoteForward, TcpAddress
from tunnelkeeper.forwarding.pump import ChannelEndpoint, SocketEndpoint
from tunnelkeeper.forwarding.remote_clients import RemoteClients
from tunnelkeeper.relay.config import RelayLimits
from tunnelkeeper.ssh.context import SshContext
from tunnelkeeper.ssh.memory_budget import memory_limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from tests.e2e.sandbox import Sandbox
    from tunnelkeeper.ssh.bounded_connection import BoundedConnection

MB = 1 << 20
OVERHEAD = 48 * MB
"""Bytes by which a relay grows besides what it counts: Python's objects for 600 channels and their
handshakes, and free memory between them."""


@pytest.mark.parametrize("kind", ["names", "targets"])
async def test_data_that_is_not_read_takes_bounded_memory_and_hurts_only_its_key(
    sandbox: Sandbox, kind: str
) -> None:
    with stuck_listener() as listener:
        port = listener.getsockname()[1]
        victim = start_victim(sandbox, **SETTINGS, permit_open=[f"{HOST}:{port}", "names"])
        with HonestClient(victim) as honest:
            before = victim.process.memory_info().rss
            async with victim.watched() as usage:
                if kind == "names":
                    refused = await fill_names_that_are_not_read(victim)
                else:
                    refused = await fill_targets_that_do_not_read(victim, port)
                await honest.log_in()

            assert honest.measure().count > 0
            assert refused > 0
            assert usage.memory - before < MEMORY + OVERHEAD
    text = victim.relay.log()
    assert "of memory" in text
    assert asyncssh.read_private_key(victim.attacker_key).get_fingerprint() in text


async def test_a_relay_that_gets_no_more_memory_ends_and_says_so(sandbox: Sandbox) -> None:
    victim = start_victim(
        sandbox,
        limits={"memory": 0, "memory_per_key": 0, "memory_per_address": 0},
        names=["hole"],
        permit_open=["names"],
    )
    most = victim.process.memory_info().data + 8 * MB
    resource.prlimit(victim.process.pid, resource.RLIMIT_DATA, (most, most))

    with suppress(asyncssh.Error, OSError):
        await fill_names_that_are_not_read(victim)

    code = await asyncio.to_thread(victim.process.wait, 30)
    assert code != 0
    assert "out of memory: the process ends" in victim.relay.log()


def buffered_bytes(transports: Iterable[BoundedConnection]) -> int:
    """Return the data that a process holds for its connections."""
    total = 0
    for transport in transports:
        lower: Any = transport._transport
        total += lower.get_write_buffer_size() if lower is not None else 0
        for channel in transport._channels.values():
            total += sum(len(data) for data, _ in channel._recv_buf) + channel._send_buf_len
            session: Any = channel._session
            peer = session.peer if isinstance(session, ChannelEndpoint) else None
            if isinstance(peer, SocketEndpoint) and peer._transport is not None:
                total += peer._transport.get_write_buffer_size()
    return total


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[InProcessRelay]:
    """Serve a relay with 8 MB for all clients and no other limit of memory."""
    limits = RelayLimits(penalties=False, memory=8 * MB, memory_per_key=0, memory_per_address=0)
    async with serve_relay(tmp_path, limits=limits) as relay:
        yield relay


def transports_of(relay: InProcessRelay) -> list[Any]:
    return [client.transport for client in relay.server._clients]


def held_bytes(relay: InProcessRelay) -> int:
    return relay.server._context.budget.held(Resource.BYTES)


async def open_until_refused(
    connection: asyncssh.SSHClientConnection, data: bytes
) -> asyncssh.ChannelOpenError:
    """Open channels that send data to the name `hole`, and return the first refusal."""
    while True:
        try:
            channel, _ = await connection.create_connection(StuckSession, "hole", 1)
        except asyncssh.ChannelOpenError as error:
            return error
        channel.write(data)


async def test_the_largest_holder_makes_room_for_others_and_the_log_names_it(
    relay: InProcessRelay, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    attacker_key = new_key()
    relay.authorize(attacker_key)
    async with relay.client() as honest, relay.client(attacker_key) as attacker:
        await honest.create_server(lambda *_: StuckSession(), "hole", 1)
        error = await open_until_refused(attacker, bytes(MB))

        assert error.code == asyncssh.OPEN_RESOURCE_SHORTAGE
        assert "of memory held; the limit of the process is" in error.reason
        assert buffered_bytes(transports_of(relay)) <= held_bytes(relay) <= 8 * MB
        assert not attacker.is_closed()
        for _ in range(4):
            await honest.create_connection(StuckSession, "hole", 1)
        await attacker.wait_closed()
        assert not honest.is_closed()

    [line] = [text for text in caplog.messages if "is disconnected" in text]
    assert attacker_key.get_fingerprint() in line
    assert "the most of all; the limit of the process is 8.4 MB" in line


async def test_what_a_client_does_not_let_the_relay_send_is_counted(
    relay: InProcessRelay, caplog: pytest.LogCaptureFixture
) -> None:
    visitor_key = new_key()
    relay.authorize(visitor_key)
    async with relay.client() as holder, relay.client(visitor_key) as visitor:
        await holder.create_server(lambda *_: StuckSession(), "hole", 1, window=1)
        channels = [await visitor.create_connection(StuckSession, "hole", 1) for _ in range(30)]
        relay.server._context.budget.set_limits(memory_limits(0, MB, 0))
        for channel, _ in channels:
            channel.write(bytes(MB // 4))
        await holder.wait_closed()
        assert not visitor.is_closed()

    assert "is disconnected: it held" in caplog.text
    assert "the limit of the key is 1.0 MB" in caplog.text
    await relay.wait_until_no_clients()
    assert held_bytes(relay) == 0


async def test_single_bytes_take_no_more_than_their_size(relay: InProcessRelay) -> None:
    async with relay.client() as holder, relay.client() as connection:
        await holder.create_server(lambda *_: StuckSession(), "hole", 1, window=1)
        channel, _ = await connection.create_connection(StuckSession, "hole", 1)
        for _ in range(3000):
            channel.write(b"x")
        await until(lambda: buffered_bytes(transports_of(relay)) >= 2900)
        entries = [
            len(each._recv_buf) + len(each._send_buf)
            for transport in transports_of(relay)
            for each in transport._channels.values()
        ]
        assert sum(entries) < 10


async def test_an_honest_transfer_returns_all_that_it_held(relay: InProcessRelay) -> None:
    data = blob(4 * MB)
    async with service(echo) as port, relay.client() as connection:
        bound = (await connection.forward_remote_port("", 0, LOOPBACK, port)).get_port()
        assert await exchange(bound, data) == data
        [transport] = transports_of(relay)
        await until(lambda: not transport._channels)
        assert held_bytes(relay) == 0


# -- the client ------------------------------------------------------------------------------------


async def test_a_server_that_opens_channels_cannot_fill_the_memory_of_a_client(
    tmp_path: Path,
) -> None:
    context = SshContext()
    context.budget.set_limits(memory_limits(8 * MB, 4 * MB, 0))
    with stuck_listener() as listener:
        target = TcpAddress(*listener.getsockname())
        async with (
            serve(tmp_path) as server,
            asyncio.TaskGroup() as tasks,
            connected(server.host(), context=context) as connection,
        ):
            forward = RemoteForward(TcpAddress("127.0.0.1", 0), target)
            clients = RemoteClients(forward, tasks, lambda _: None)
            await connection.listen(forward.listen, clients.accept)
            [hostile] = server.connections
            refused = await _flood(hostile)

            assert refused > 0
            held = context.budget.held(Resource.BYTES)
            assert buffered_bytes([connection.transport]) <= held <= 8 * MB
            assert not connection.is_closed


async def _flood(hostile: Any) -> int:
    [listener] = hostile._local_listeners.values()
    refused = 0
    for _ in range(200):
        try:
            channel, _ = await hostile.create_connection(
                StuckSession, "127.0.0.1", listener.get_port(), "127.0.0.1", 1
            )
            channel.write(bytes(MB // 4))
        except asyncssh.ChannelOpenError:
            refused += 1
    return refused
