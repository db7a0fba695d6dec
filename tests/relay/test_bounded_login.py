"""What a client may send before its login, and how often it may ask for new keys."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from asyncssh.constants import MSG_IGNORE
from asyncssh.packet import String

from tests.attacks.startups_attack import IGNORE, VERSION, kexinit, plain_packet
from tests.relay.in_process_relay import LOOPBACK, InProcessRelay, new_key
from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.core.login_budget import REKEY_BURST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def sent_before_the_end(relay: InProcessRelay, *data: bytes) -> bytes:
    """Send data to the relay, and return what it sends until it disconnects."""
    reader, writer = await asyncio.open_connection(LOOPBACK, relay.port)
    writer.writelines([VERSION, *data])
    try:
        async with asyncio.timeout(DEADLINE):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_a_client_that_floods_before_its_login_is_disconnected(relay: InProcessRelay) -> None:
    await sent_before_the_end(relay, IGNORE * 10_000)

    await until(lambda: bool(relay.server.status().refusals.recent))
    (refusal,) = relay.server.status().refusals.recent
    assert (refusal.what, refusal.reason) == ("login", "more packets than a login needs")


async def test_a_client_that_sends_much_before_its_login_is_disconnected(
    relay: InProcessRelay,
) -> None:
    large = plain_packet(bytes([MSG_IGNORE]) + String(bytes(30_000)))
    await sent_before_the_end(relay, large * 30)

    await until(lambda: bool(relay.server.status().refusals.recent))
    assert relay.server.status().refusals.recent[0].reason == "more data than a login needs"


class _RekeyingClient(asyncssh.SSHClientConnection):
    """A client that asks for new keys before it logs in."""

    def send_service_request(self, service: bytes) -> None:
        del service
        self._send_kexinit()
        self._kexinit_sent = True


async def test_a_second_key_exchange_before_the_login_disconnects(
    relay: InProcessRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncssh.connection.SSHClientConnection", _RekeyingClient)

    with pytest.raises(asyncssh.ProtocolError, match="second key exchange"):
        async with relay.client():
            pass


async def test_a_first_key_exchange_that_is_sent_twice_disconnects(relay: InProcessRelay) -> None:
    await sent_before_the_end(relay, kexinit(), kexinit())

    assert relay.server.status().waiting == 0


async def test_a_client_with_many_keys_logs_in(relay: InProcessRelay) -> None:
    keys = [*(new_key() for _ in range(5)), relay.key]
    async with asyncssh.connect(
        LOOPBACK, relay.port, config=None, username="box", client_keys=keys, known_hosts=None
    ) as client:
        assert not client.is_closed()


async def rekeyed(client: asyncssh.SSHClientConnection, count: int) -> AsyncIterator[None]:
    """Yield after each of some key exchanges that the client asks for."""
    connection: Any = client
    for _ in range(count):
        connection._send_kexinit()
        connection._kexinit_sent = True
        await until(lambda: connection._kex_complete)
        yield


async def test_frequent_key_exchanges_after_the_login_wait(
    relay: InProcessRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []

    async def record(delay: float) -> None:
        delays.append(delay)

    async with relay.client() as client:
        monkeypatch.setattr("tunnelkeeper.relay.bounded_login.sleep", record)
        async for _ in rekeyed(client, REKEY_BURST):
            pass
        assert not delays
        async for _ in rekeyed(client, 2):
            pass
        assert delays
