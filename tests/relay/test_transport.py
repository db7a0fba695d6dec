"""What a client can make the relay keep in memory is bounded, and a rekey disturbs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.forwarding.services import blob, echo, exchange, service, source
from tests.relay.served import HERE, Served
from tests.ssh.waiting import until
from tunnelkeeper.relay import transport

if TYPE_CHECKING:
    import pytest

    from tunnelkeeper.relay.transport import ServerTransport

MUCH = 8 << 20


def transport_of(served: Served) -> ServerTransport:
    return served.relay._clients[0].transport


async def test_while_keys_are_exchanged_nothing_more_is_read_for_a_client(served: Served) -> None:
    async with service(echo) as port, served.client() as connection:
        held = (await connection.forward_remote_port("", 0, HERE, port)).get_port()
        server = transport_of(served)
        server._send_kexinit()
        server._kexinit_sent = True  # as asyncssh does
        assert server.stalled
        await until(lambda: not server.stalled)
        assert await exchange(held, b"with new keys") == b"with new keys"


async def test_data_is_whole_when_keys_change_in_the_middle(served: Served) -> None:
    async with service(source(blob(MUCH))) as port, served.client() as connection:
        held = (await connection.forward_remote_port("", 0, HERE, port)).get_port()
        transport_of(served)._rekey_bytes = connection._rekey_bytes = 1 << 20
        assert await exchange(held, b"") == blob(MUCH)


async def test_a_client_that_leaves_what_it_is_sent_unread_is_dropped(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served.client() as connection:
        monkeypatch.setattr(transport, "OUTPUT_LIMIT", -1)
        connection._send_global_request(b"keepalive@openssh.com")
        await connection.wait_closed()
        await served.until_gone()


async def test_too_many_requests_at_once_end_their_connection_alone(served: Served) -> None:
    async with served.client() as other, served.client() as connection:
        for _ in range(10 * transport.REQUESTS_AT_ONCE):
            connection._send_global_request(b"tcpip-forward", b"\0\0\0\4home\0\0\0\x16")
        await connection.wait_closed()
        assert not other.is_closed()


async def test_what_a_client_calls_itself_is_shown_safely(served: Served) -> None:
    async with served.client(client_version="evil_1.0 comment with spaces"):
        assert served.clients[0].version == "SSH-2.0-evil_1.0 comment with spaces"
