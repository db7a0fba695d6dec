"""Bounded memory for one client, and forwarding during a key exchange."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NoReturn

import asyncssh
import pytest

from tests.forwarding.services import blob, echo, exchange, service, source
from tests.relay.in_process_relay import LOOPBACK, InProcessRelay
from tests.ssh.waiting import until
from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.relay.client_session import ClientSession
from tunnelkeeper.relay.transport import OPEN_FAILURE_CODES
from tunnelkeeper.ssh import bounded_connection

if TYPE_CHECKING:
    from tunnelkeeper.forwarding.pump import ChannelEndpoint
    from tunnelkeeper.relay.transport import ServerTransport

LARGE = 8 << 20


def transport_of(relay: InProcessRelay) -> ServerTransport:
    return relay.server._clients[0].transport


async def test_reading_for_a_client_pauses_during_a_key_exchange(relay: InProcessRelay) -> None:
    async with service(echo) as port, relay.client() as connection:
        bound_port = (await connection.forward_remote_port("", 0, LOOPBACK, port)).get_port()
        server = transport_of(relay)
        server._send_kexinit()
        server._kexinit_sent = True  # as asyncssh does
        assert server.is_stalled
        await until(lambda: not server.is_stalled)
        assert await exchange(bound_port, b"with new keys") == b"with new keys"


async def test_a_key_exchange_does_not_corrupt_data(relay: InProcessRelay) -> None:
    async with service(source(blob(LARGE))) as port, relay.client() as connection:
        bound_port = (await connection.forward_remote_port("", 0, LOOPBACK, port)).get_port()
        transport_of(relay)._rekey_bytes = connection._rekey_bytes = 1 << 20
        assert await exchange(bound_port, b"") == blob(LARGE)


async def test_a_client_that_does_not_read_is_disconnected(
    relay: InProcessRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with relay.client() as connection:
        monkeypatch.setattr(bounded_connection, "OUTPUT_LIMIT", -1)
        connection._send_global_request(b"keepalive@openssh.com")
        await connection.wait_closed()
        await relay.wait_until_no_clients()


async def test_too_many_pending_requests_close_only_their_connection(
    relay: InProcessRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided, refused = asyncio.Event(), asyncio.Event()

    async def refuse_later(_session: ClientSession, _host: str, _port: int) -> NoReturn:
        await decided.wait()
        refused.set()
        raise ConnectError(Reason.FAILED, "decided at last")

    monkeypatch.setattr(ClientSession, "listen_tcp", refuse_later)
    async with relay.client() as other_client, relay.client() as connection:
        for _ in range(10 * bounded_connection.MAX_PENDING_REQUESTS):
            connection._send_global_request(b"tcpip-forward", b"\0\0\0\4home\0\0\0\x16")
        await connection.wait_closed()
        assert not other_client.is_closed()
        decided.set()
        await refused.wait()


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.NOT_PERMITTED, asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED),
        (Reason.REFUSED, asyncssh.OPEN_CONNECT_FAILED),
        (Reason.NETWORK_UNREACHABLE, asyncssh.OPEN_CONNECT_FAILED),
        (Reason.HOST_UNREACHABLE, asyncssh.OPEN_CONNECT_FAILED),
        (Reason.TIMED_OUT, asyncssh.OPEN_CONNECT_FAILED),
        (Reason.FAILED, asyncssh.OPEN_CONNECT_FAILED),
        (Reason.RESOURCE_SHORTAGE, asyncssh.OPEN_RESOURCE_SHORTAGE),
    ],
)
async def test_a_channel_that_cannot_be_opened_is_refused_with_the_code_of_its_reason(
    relay: InProcessRelay, monkeypatch: pytest.MonkeyPatch, reason: Reason, code: int
) -> None:
    async with relay.client() as connection:

        async def open_tcp(*_: object) -> ChannelEndpoint:
            raise ConnectError(reason, "db:5432: no")

        monkeypatch.setattr(transport_of(relay).handler, "open_tcp", open_tcp)
        with pytest.raises(asyncssh.ChannelOpenError) as refused:
            await connection.open_connection("db", 5432)

    assert (refused.value.code, refused.value.reason) == (code, "db:5432: no")


def test_every_reason_has_a_code() -> None:
    assert set(OPEN_FAILURE_CODES) == set(Reason)


async def test_the_client_version_is_printable(relay: InProcessRelay) -> None:
    async with relay.client(client_version="evil_1.0 comment with spaces"):
        assert relay.clients[0].version == "SSH-2.0-evil_1.0 comment with spaces"


async def test_the_relay_logs_what_its_client_offers(
    relay: InProcessRelay, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(asyncssh.KeyExchangeFailed):
        await asyncssh.connect(
            LOOPBACK, relay.port, config=None, known_hosts=None, encryption_algs=["3des-cbc"]
        )

    await until(lambda: "no common cipher algorithm; the client offers 3des-cbc" in caplog.text)
