"""Descriptors and channels of a relay that its clients share."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from asyncssh.constants import OPEN_RESOURCE_SHORTAGE

from tests.relay.in_process_relay import LOOPBACK, InProcessRelay, new_key, serve_relay
from tests.ssh.waiting import until
from tunnelkeeper.forwarding.counted_socket import CountedSocket
from tunnelkeeper.net.descriptor_pool import GUARANTEED, DescriptorPool
from tunnelkeeper.relay import open_target
from tunnelkeeper.relay.budgets import SharedBudget, holders_of
from tunnelkeeper.relay.permits import parse_open

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FREE = 20


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[InProcessRelay]:
    """Serve a relay whose clients share FREE descriptors."""
    permits = (parse_open(f"{LOOPBACK}:*"),)
    async with serve_relay(tmp_path, permit_open=permits) as relay:
        pool = pool_of(relay)
        pool.limit = lambda: 1000
        pool.count = lambda: 1000 - pool.reserve - FREE + pool.taken
        pool.lowest_free = lambda: 5
        yield relay


def pool_of(relay: InProcessRelay) -> DescriptorPool:
    return relay.server._context.descriptors


def relay_channels(relay: InProcessRelay) -> int:
    return relay.server._context.channels.taken


async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        await reader.read()
    writer.close()


async def open_until_refused(
    client: asyncssh.SSHClientConnection, port: int
) -> tuple[list[asyncssh.SSHTCPChannel[Any]], asyncssh.ChannelOpenError]:
    opened: list[asyncssh.SSHTCPChannel[Any]] = []
    while True:
        try:
            channel, _ = await client.create_connection(asyncssh.SSHTCPSession, LOOPBACK, port)
        except asyncssh.ChannelOpenError as error:
            return opened, error
        opened.append(channel)


async def test_one_key_gets_half_on_all_its_connections_and_another_key_is_served(
    relay: InProcessRelay,
) -> None:
    other = new_key()
    relay.authorize(other)
    async with (
        await asyncio.start_server(hold, LOOPBACK, 0) as target,
        relay.client() as first,
        relay.client() as second,
        relay.client(other) as honest,
    ):
        port = target.sockets[0].getsockname()[1]
        opened, error = await open_until_refused(first, port)

        assert error.code == OPEN_RESOURCE_SHORTAGE
        assert error.reason.endswith("this key has used its share of the descriptors")
        assert 0 < len(opened) <= FREE // 2
        assert (await open_until_refused(second, port))[0] == []
        assert (await open_until_refused(honest, port))[0]

    await relay.wait_until_no_clients()
    await until(lambda: pool_of(relay).taken == relay_channels(relay) == 0)


async def test_listeners_and_their_visitors_count_and_are_given_back(
    relay: InProcessRelay, caplog: pytest.LogCaptureFixture
) -> None:
    visitors: list[asyncssh.SSHTCPChannel[bytes]] = []

    class Visitor(asyncssh.SSHTCPSession[bytes]):
        def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
            visitors.append(chan)

    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(relay.client())
        listeners = []
        with suppress(asyncssh.ChannelListenError):
            for _ in range(FREE):
                listener = await client.create_server(lambda *_: Visitor(), LOOPBACK, 0)
                listeners.append(listener)
        assert 0 < len(relay.bound_targets) == len(listeners) < FREE
        _, writer = await asyncio.open_connection(LOOPBACK, listeners[0].get_port())
        await until(lambda: "clients wait: " in caplog.text)
        assert not visitors
        assert f"{LOOPBACK}:{listeners[0].get_port()} of box@" in caplog.text

        for other in listeners[1:]:
            other.close()
        await until(lambda: len(visitors) == 1)
        assert pool_of(relay).taken == 3  # the client, its listener and the visitor
        writer.close()
        await until(lambda: pool_of(relay).taken == 2)
    await relay.wait_until_no_clients()
    assert pool_of(relay).taken == 0


async def test_the_key_with_the_most_loses_a_connection_to_one_that_has_hardly_any(
    relay: InProcessRelay, caplog: pytest.LogCaptureFixture
) -> None:
    pool = pool_of(relay)
    keys = [new_key() for _ in range(3)]
    for key in keys:
        relay.authorize(key)
    pool.count = lambda: 1000 - pool.reserve - 60 + pool.taken  # 60 are free for all
    async with await asyncio.start_server(hold, LOOPBACK, 0) as target, AsyncExitStack() as stack:
        port = target.sockets[0].getsockname()[1]
        first = await stack.enter_async_context(relay.client())
        most, _ = await open_until_refused(first, port)
        for key in keys:
            client = await stack.enter_async_context(relay.client(key))
            opened, _ = await open_until_refused(client, port)
            assert len(opened) >= GUARANTEED - 1  # the connection itself has a place, too
        await until(lambda: any(channel.is_closing() for channel in most))
        assert not all(channel.is_closing() for channel in most)
    assert "has the most descriptors: it loses one to another client" in caplog.text
    await relay.wait_until_no_clients()
    await until(lambda: pool.taken == 0)
    assert not pool._evictable


async def test_channels_have_a_limit_of_their_own(relay: InProcessRelay) -> None:
    relay.server._context.channels = SharedBudget(6, "channels")
    async with (
        await asyncio.start_server(hold, LOOPBACK, 0) as target,
        relay.client() as client,
    ):
        opened, error = await open_until_refused(client, target.sockets[0].getsockname()[1])

        assert len(opened) == 3
        assert error.code == OPEN_RESOURCE_SHORTAGE
        assert error.reason == "this key has used its share of the relay's channels"
    await relay.wait_until_no_clients()
    await until(lambda: relay_channels(relay) == 0)


def test_a_socket_has_its_place_until_it_is_closed() -> None:
    pool = DescriptorPool()
    socket, closed = CountedSocket(), CountedSocket()
    closed.connection_lost(None)
    socket.occupy(pool.occupy())
    closed.occupy(pool.occupy())

    assert pool.taken == 1
    socket.connection_lost(None)
    assert pool.taken == 0


@pytest.mark.parametrize("module", ["relay.authorized_keys_store", "ssh.auth.revoked_keys"])
async def test_a_key_that_cannot_be_looked_up_for_now_is_not_refused(
    relay: InProcessRelay,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    module: str,
) -> None:
    def fail(path: str) -> bytes:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)

    revoked_keys = tmp_path / "revoked_keys"
    revoked_keys.touch()
    context = relay.server._context
    context.configuration = replace(context.configuration, revoked_keys=str(revoked_keys))
    with monkeypatch.context() as patched:
        patched.setattr(f"tunnelkeeper.{module}.read_regular_file", fail)
        with pytest.raises(asyncssh.ConnectionLost):
            async with relay.client():
                pass
    async with relay.client():
        assert relay.server.status().refusals.logins == 0
    assert "cannot check keys for now: " in caplog.text


async def test_a_target_without_descriptors_is_a_shortage(
    relay: InProcessRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[str]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(open_target, "interface_addresses", fail)
    async with relay.client() as client:
        _, error = await open_until_refused(client, 9)

    assert error.code == OPEN_RESOURCE_SHORTAGE
    assert "Too many open files" in error.reason


@pytest.mark.parametrize(
    ("host", "count"), [("192.0.2.1", 2), ("127.0.0.1", 1), ("::1", 1), ("nonsense", 1)]
)
def test_loopback_has_no_share_of_its_own(host: str, count: int) -> None:
    assert len(holders_of(b"key", host)) == count


def test_an_ipv6_network_is_one_holder() -> None:
    assert holders_of(b"key", "2001:db8::1") == holders_of(b"key", "2001:db8::2")
    assert holders_of(b"key", "2001:db8::1") != holders_of(b"key", "2001:db8:0:1::1")
