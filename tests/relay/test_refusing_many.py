"""Limits for one client, one key and one address."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.forwarding.services import echo, service
from tests.relay.in_process_relay import HERE, USER, Served, new_key, public, serving
from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.relay.auth_session import MIN_FAIL_DELAY
from tunnelkeeper.relay.config import RelayLimits
from tunnelkeeper.relay.max_startups import MaxStartups
from tunnelkeeper.relay.permits import HostPermit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SILENT = 50


@contextlib.asynccontextmanager
async def silent_clients(
    port: int, number: int, first_words: bytes = b""
) -> AsyncIterator[list[asyncio.StreamReader]]:
    """TCP clients that connect, send some bytes and then nothing."""
    pairs = [await asyncio.open_connection(HERE, port) for _ in range(number)]
    for _, writer in pairs:
        writer.write(first_words)
    try:
        yield [reader for reader, _ in pairs]
    finally:
        for _, writer in pairs:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def first_line(port: int) -> bytes:
    """Return what the relay sends to a new connection."""
    reader, writer = await asyncio.open_connection(HERE, port)
    try:
        async with asyncio.timeout(DEADLINE):
            return await reader.readline()
    finally:
        writer.close()


# -- before the login ------------------------------------------------------------------------------


async def test_silent_clients_do_not_keep_others_out(served: Served) -> None:
    async with silent_clients(served.port, SILENT):
        for _ in range(5):
            async with served.client():
                assert len(served.clients) == 1


async def test_unauthenticated_connections_stay_within_the_limit(served: Served) -> None:
    async with silent_clients(served.port, 200):
        await until(lambda: served.relay.status().waiting >= 10)
        assert served.relay.status().waiting <= 100


async def test_connections_with_a_banner_count_towards_the_limit(tmp_path: Path) -> None:
    limits = RelayLimits(penalties=False, max_startups=MaxStartups(5, 100, 5))
    async with serving(tmp_path, limits=limits) as served:
        async with silent_clients(served.port, 5, b"SSH-2.0-slow\r\n"):
            await until(
                lambda: all(one.has_sent_banner for one in served.relay._admission._connections)
            )
            assert await first_line(served.port) == b"Exceeded MaxStartups\r\n"
            assert served.relay.status().refusals.connections == 1
        await until(lambda: not served.relay.status().waiting)
        async with served.client():
            assert served.clients


async def test_a_client_that_exceeds_login_grace_is_disconnected(tmp_path: Path) -> None:
    limits = RelayLimits(penalties=False, login_grace=0.3)
    async with (
        serving(tmp_path, limits=limits) as served,
        silent_clients(served.port, 1) as [reader],
        asyncio.timeout(DEADLINE),
    ):
        assert (await reader.read()).startswith(b"SSH-2.0-")
        recent = served.relay.status().refusals.recent
        assert [refusal.reason for refusal in recent] == ["no login within 0.3 s"]


async def test_failures_from_loopback_are_not_penalized(tmp_path: Path) -> None:
    async with serving(tmp_path, limits=RelayLimits()) as served:
        for _ in range(4):  # 5 s each; above 15 s a penalty would be active
            with pytest.raises(asyncssh.PermissionDenied):
                async with served.client(new_key()):
                    pass
        async with served.client():
            assert served.clients


# -- the login -------------------------------------------------------------------------------------


class KeyRing(asyncssh.SSHClient):
    """Offers new keys one after another, and counts the answers."""

    def __init__(self, keys: int) -> None:
        self.offered = 0
        self._keys = keys

    def public_key_auth_requested(self) -> asyncssh.SSHKey | None:
        if self.offered == self._keys:
            return None
        self.offered += 1
        return new_key()


async def offer(served: Served, keys: int) -> tuple[int, Exception]:
    """Return how many keys were answered, and the final error."""
    rings: list[KeyRing] = []

    def ring() -> KeyRing:
        rings.append(KeyRing(keys))
        return rings[0]

    with pytest.raises((asyncssh.Error, OSError)) as ended:
        await asyncssh.connect(
            HERE,
            served.port,
            config=None,
            username=USER,
            client_keys=[],
            known_hosts=None,
            agent_path=None,
            client_factory=ring,
        )
    return rings[0].offered, ended.value


async def test_the_seventh_failed_attempt_disconnects(served: Served) -> None:
    offered, error = await offer(served, 20)

    assert offered == 7
    assert isinstance(error, asyncssh.DisconnectError)
    assert "Too many authentication failures" in str(error)
    refusal = served.relay.status().refusals.recent[0]
    assert (refusal.what, refusal.user) == ("login", USER)
    assert refusal.reason == "this key is not authorized (attempts: 6)"


async def test_six_wrong_keys_do_not_disconnect(served: Served) -> None:
    offered, error = await offer(served, 6)

    assert offered == 6
    assert isinstance(error, asyncssh.PermissionDenied)


async def test_a_refusal_takes_a_minimum_time_for_every_user(tmp_path: Path) -> None:
    """Failing to find a user is faster than failing to find a key; it must not be visible."""
    async with serving(tmp_path, authorized_keys=f"{tmp_path}/%u") as served:
        (tmp_path / USER).write_text(f"{public(new_key())}\n")
        for user in (USER, "unknown", "../unknown"):
            began = time.monotonic()
            with pytest.raises(asyncssh.PermissionDenied):
                async with served.client(user=user):
                    pass
            assert time.monotonic() - began >= MIN_FAIL_DELAY


async def test_the_user_of_a_connection_cannot_change(served: Served) -> None:
    class Chameleon(KeyRing):
        def public_key_auth_requested(self) -> asyncssh.SSHKey | None:
            self.connection._username = f"user{self.offered}"
            return super().public_key_auth_requested()

        def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
            self.connection = conn

    with pytest.raises(asyncssh.DisconnectError, match="Change of username"):
        await asyncssh.connect(
            HERE,
            served.port,
            config=None,
            username="unknown",
            client_keys=[],
            known_hosts=None,
            agent_path=None,
            client_factory=lambda: Chameleon(9),
        )


# -- after the login -------------------------------------------------------------------------------


async def test_connections_per_key_are_limited(tmp_path: Path) -> None:
    limits = RelayLimits(penalties=False, connections_per_key=2)
    async with serving(tmp_path, limits=limits) as served, served.client(), served.client():
        async with await asyncssh.connect(
            HERE,
            served.port,
            config=None,
            username=USER,
            client_keys=[served.key],
            known_hosts=None,
            agent_path=None,
        ) as third:
            await third.wait_closed()
        assert len(served.clients) == 2
        reason = served.relay.status().refusals.recent[-1].reason
        assert reason == "2 connections with this key are open"

        other = new_key()
        served.authorize(other)
        async with served.client(other):
            assert len(served.clients) == 3


async def test_listeners_per_connection_are_limited(tmp_path: Path) -> None:
    limits = RelayLimits(penalties=False, listeners_per_connection=2)
    async with serving(tmp_path, limits=limits) as served, served.client() as connection:
        first = await connection.forward_remote_port("", 0, HERE, 9)
        await connection.forward_remote_port("home", 22, HERE, 9)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_port("", 0, HERE, 9)

        first.close()
        await first.wait_closed()
        await connection.forward_remote_port("", 0, HERE, 9)
        assert len(served.held) == 2


async def test_channels_per_connection_are_limited(tmp_path: Path) -> None:
    limits = RelayLimits(penalties=False, channels_per_connection=3)
    permits = (HostPermit(HERE, None),)
    async with (
        serving(tmp_path, limits=limits, permit_open=permits) as served,
        served.client() as connection,
        service(echo) as port,
    ):
        opened = [await connection.open_connection(HERE, port) for _ in range(3)]
        with pytest.raises(asyncssh.ChannelOpenError) as refused:
            await connection.open_connection(HERE, port)
        assert refused.value.code == asyncssh.OPEN_RESOURCE_SHORTAGE

        opened[0][1].close()
        await until(lambda: served.clients[0].channels == 2)
        await connection.open_connection(HERE, port)


async def test_a_connection_to_a_client_at_its_channel_limit_is_closed(tmp_path: Path) -> None:
    limits = RelayLimits(penalties=False, channels_per_connection=1)
    async with (
        serving(tmp_path, limits=limits) as served,
        served.client() as connection,
        service(echo) as port,
    ):
        held = (await connection.forward_remote_port("", 0, HERE, port)).get_port()
        first_reader, first_writer = await asyncio.open_connection(HERE, held)
        first_writer.write(b"x")
        assert await first_reader.readexactly(1) == b"x"
        reader, writer = await asyncio.open_connection(HERE, held)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        for each in (first_writer, writer):
            each.close()
