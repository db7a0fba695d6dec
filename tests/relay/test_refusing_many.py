"""Limits for one client, one key and one address."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.forwarding.services import echo, service
from tests.relay.in_process_relay import (
    LOOPBACK,
    USER,
    InProcessRelay,
    new_key,
    public,
    serve_relay,
)
from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.relay.auth_session import MIN_FAIL_DELAY
from tunnelkeeper.relay.config import RelayLimits
from tunnelkeeper.relay.max_startups import MaxStartups
from tunnelkeeper.relay.permits import HostPermit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SILENT_CLIENTS = 50


@contextlib.asynccontextmanager
async def silent_clients(
    port: int, number: int, first_data: bytes = b""
) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Connect TCP clients that send some bytes and then nothing. Yield their readers."""
    pairs = [await asyncio.open_connection(LOOPBACK, port) for _ in range(number)]
    for _, writer in pairs:
        writer.write(first_data)
    try:
        yield [reader for reader, _ in pairs]
    finally:
        for _, writer in pairs:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def first_line(port: int) -> bytes:
    """Return what the relay sends to a new connection."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        async with asyncio.timeout(DEADLINE):
            return await reader.readline()
    finally:
        writer.close()


# -- before the login ------------------------------------------------------------------------------


async def test_silent_clients_do_not_exclude_other_clients(relay: InProcessRelay) -> None:
    async with silent_clients(relay.port, SILENT_CLIENTS):
        for _ in range(5):
            async with relay.client():
                assert len(relay.clients) == 1


async def test_unauthenticated_connections_stay_within_the_limit(relay: InProcessRelay) -> None:
    async with silent_clients(relay.port, 200):
        await until(lambda: relay.server.status().waiting >= 10)
        assert relay.server.status().waiting <= 100


async def test_connections_with_a_banner_count_towards_the_limit(tmp_path: Path) -> None:
    limits = RelayLimits(penalties=False, max_startups=MaxStartups(5, 100, 5))
    async with serve_relay(tmp_path, limits=limits) as relay:
        async with silent_clients(relay.port, 5, b"SSH-2.0-slow\r\n"):
            await until(
                lambda: all(c.has_sent_banner for c in relay.server._admission._connections)
            )
            assert await first_line(relay.port) == b"Exceeded MaxStartups\r\n"
            assert relay.server.status().refusals.connections == 1
        await until(lambda: not relay.server.status().waiting)
        async with relay.client():
            assert relay.clients


async def test_a_client_that_exceeds_login_grace_is_disconnected(tmp_path: Path) -> None:
    limits = RelayLimits(penalties=False, login_grace=0.3)
    async with (
        serve_relay(tmp_path, limits=limits) as relay,
        silent_clients(relay.port, 1) as [reader],
        asyncio.timeout(DEADLINE),
    ):
        assert (await reader.read()).startswith(b"SSH-2.0-")
        recent = relay.server.status().refusals.recent
        assert [refusal.reason for refusal in recent] == ["no login within 0.3 s"]


async def test_failures_from_loopback_are_not_penalized(tmp_path: Path) -> None:
    async with serve_relay(tmp_path, limits=RelayLimits()) as relay:
        for _ in range(4):  # 5 s each; above 15 s a penalty would be active
            with pytest.raises(asyncssh.PermissionDenied):
                async with relay.client(new_key()):
                    pass
        async with relay.client():
            assert relay.clients


# -- the login -------------------------------------------------------------------------------------


class ManyKeysClient(asyncssh.SSHClient):
    """A client that offers new keys one after another and counts them."""

    def __init__(self, keys: int) -> None:
        self.offered = 0
        self._keys = keys

    def public_key_auth_requested(self) -> asyncssh.SSHKey | None:
        if self.offered == self._keys:
            return None
        self.offered += 1
        return new_key()


async def offer_keys(relay: InProcessRelay, keys: int) -> tuple[int, Exception]:
    """Offer a number of keys. Return how many were answered, and the final error."""
    clients: list[ManyKeysClient] = []

    def make_client() -> ManyKeysClient:
        clients.append(ManyKeysClient(keys))
        return clients[0]

    with pytest.raises((asyncssh.Error, OSError)) as error_info:
        await asyncssh.connect(
            LOOPBACK,
            relay.port,
            config=None,
            username=USER,
            client_keys=[],
            known_hosts=None,
            agent_path=None,
            client_factory=make_client,
        )
    return clients[0].offered, error_info.value


async def test_the_seventh_failed_attempt_disconnects(relay: InProcessRelay) -> None:
    offered, error = await offer_keys(relay, 20)

    assert offered == 7
    assert isinstance(error, asyncssh.DisconnectError)
    assert "Too many authentication failures" in str(error)
    refusal = relay.server.status().refusals.recent[0]
    assert (refusal.what, refusal.user) == ("login", USER)
    assert refusal.reason == "this key is not authorized (attempts: 6)"


async def test_six_wrong_keys_do_not_disconnect(relay: InProcessRelay) -> None:
    offered, error = await offer_keys(relay, 6)

    assert offered == 6
    assert isinstance(error, asyncssh.PermissionDenied)


async def test_a_refusal_takes_a_minimum_time_for_every_user(tmp_path: Path) -> None:
    """An unknown user fails faster than an unknown key. Clients must not notice."""
    async with serve_relay(tmp_path, authorized_keys=f"{tmp_path}/%u") as relay:
        (tmp_path / USER).write_text(f"{public(new_key())}\n")
        for user in (USER, "unknown", "../unknown"):
            started = time.monotonic()
            with pytest.raises(asyncssh.PermissionDenied):
                async with relay.client(user=user):
                    pass
            assert time.monotonic() - started >= MIN_FAIL_DELAY


async def test_the_user_of_a_connection_cannot_change(relay: InProcessRelay) -> None:
    class ChangingUserClient(ManyKeysClient):
        def public_key_auth_requested(self) -> asyncssh.SSHKey | None:
            self.connection._username = f"user{self.offered}"
            return super().public_key_auth_requested()

        def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
            self.connection = conn

    with pytest.raises(asyncssh.DisconnectError, match="Change of username"):
        await asyncssh.connect(
            LOOPBACK,
            relay.port,
            config=None,
            username="unknown",
            client_keys=[],
            known_hosts=None,
            agent_path=None,
            client_factory=lambda: ChangingUserClient(9),
        )


# -- after the login -------------------------------------------------------------------------------


@pytest.mark.parametrize("user", [USER, "another-name"])
async def test_connections_per_key_are_limited_whatever_the_user(tmp_path: Path, user: str) -> None:
    limits = RelayLimits(penalties=False, connections_per_key=2)
    async with serve_relay(tmp_path, limits=limits) as relay, relay.client(), relay.client():
        async with await asyncssh.connect(
            LOOPBACK,
            relay.port,
            config=None,
            username=user,
            client_keys=[relay.key],
            known_hosts=None,
            agent_path=None,
        ) as third:
            await third.wait_closed()
        assert len(relay.clients) == 2
        reason = relay.server.status().refusals.recent[-1].reason
        assert reason == "2 connections with this key are open"

        other = new_key()
        relay.authorize(other)
        async with relay.client(other):
            assert len(relay.clients) == 3


async def test_listeners_per_connection_are_limited(tmp_path: Path) -> None:
    limits = RelayLimits(penalties=False, listeners_per_connection=2)
    async with serve_relay(tmp_path, limits=limits) as relay, relay.client() as connection:
        first = await connection.forward_remote_port("", 0, LOOPBACK, 9)
        await connection.forward_remote_port("home", 22, LOOPBACK, 9)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_port("", 0, LOOPBACK, 9)

        first.close()
        await first.wait_closed()
        await connection.forward_remote_port("", 0, LOOPBACK, 9)
        assert len(relay.bound_targets) == 2


async def test_channels_per_connection_are_limited(tmp_path: Path) -> None:
    limits = RelayLimits(penalties=False, channels_per_connection=3)
    permits = (HostPermit(LOOPBACK, None),)
    async with (
        serve_relay(tmp_path, limits=limits, permit_open=permits) as relay,
        relay.client() as connection,
        service(echo) as port,
    ):
        opened = [await connection.open_connection(LOOPBACK, port) for _ in range(3)]
        with pytest.raises(asyncssh.ChannelOpenError) as refused:
            await connection.open_connection(LOOPBACK, port)
        assert refused.value.code == asyncssh.OPEN_RESOURCE_SHORTAGE

        opened[0][1].close()
        await until(lambda: relay.clients[0].channels == 2)
        await connection.open_connection(LOOPBACK, port)


async def test_a_connection_to_a_client_at_its_channel_limit_is_closed(tmp_path: Path) -> None:
    limits = RelayLimits(penalties=False, channels_per_connection=1)
    async with (
        serve_relay(tmp_path, limits=limits) as relay,
        relay.client() as connection,
        service(echo) as port,
    ):
        bound_port = (await connection.forward_remote_port("", 0, LOOPBACK, port)).get_port()
        first_reader, first_writer = await asyncio.open_connection(LOOPBACK, bound_port)
        first_writer.write(b"x")
        assert await first_reader.readexactly(1) == b"x"
        reader, writer = await asyncio.open_connection(LOOPBACK, bound_port)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        for client_writer in (first_writer, writer):
            client_writer.close()
