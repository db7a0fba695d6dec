"""Names: a client listens on a name without a socket, and other clients connect to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.forwarding.services import blob, echo, hash_sink, service, sha256, source
from tests.relay.in_process_relay import LOOPBACK, InProcessRelay, new_key, serve_relay
from tests.ssh.waiting import until, until_stable

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK_HOSTS = ("127.0.0.1", "::1")
LARGE = 8 << 20


async def is_bound(port: int) -> bool:
    for host in LOOPBACK_HOSTS:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            continue
        writer.close()
        return True
    return False


async def exchange_by_name(
    opener_client: asyncssh.SSHClientConnection, name: str, port: int, data: bytes
) -> bytes:
    """Send data and EOF to a name; return all data received."""
    reader, writer = await opener_client.open_connection(name, port)
    writer.write(data)
    await writer.drain()
    writer.write_eof()
    return bytes(await reader.read())


async def test_a_name_is_connected_to_the_client_that_listens_on_it(relay: InProcessRelay) -> None:
    async with (
        service(echo) as port,
        relay.client() as box,
        relay.client(user="me") as opener_client,
    ):
        await box.forward_remote_port("home", 22, LOOPBACK, port)

        assert relay.bound_targets == ["home:22"]
        assert not await is_bound(22)
        assert await exchange_by_name(opener_client, "home", 22, b"hello box") == b"hello box"


async def test_data_of_a_server_that_speaks_first_arrives(relay: InProcessRelay) -> None:
    async with service(source(b"SSH-2.0-box\r\n")) as port, relay.client() as box:
        await box.forward_remote_port("home", 22, LOOPBACK, port)
        async with relay.client() as opener_client:
            reader, _ = await opener_client.open_connection("home", 22)
            assert await reader.read() == b"SSH-2.0-box\r\n"


async def test_much_data_and_half_close_pass_both_ways(relay: InProcessRelay) -> None:
    async with (
        service(hash_sink) as sink_port,
        service(source(blob(LARGE))) as source_port,
        relay.client() as box,
        relay.client() as opener_client,
    ):
        await box.forward_remote_port("sink", 1, LOOPBACK, sink_port)
        await box.forward_remote_port("spring", 1, LOOPBACK, source_port)

        assert (
            await exchange_by_name(opener_client, "sink", 1, blob(LARGE))
            == sha256(blob(LARGE)).encode()
        )
        assert sha256(await exchange_by_name(opener_client, "spring", 1, b"")) == sha256(
            blob(LARGE)
        )


async def test_a_slow_reader_pauses_the_sender(relay: InProcessRelay) -> None:
    async with service(source(blob(64 << 20))) as port, relay.client() as box:
        await box.forward_remote_port("spring", 1, LOOPBACK, port)
        async with relay.client() as opener_client:
            _, writer = await opener_client.open_connection("spring", 1)
            await until(lambda: relay.clients[0].bytes_in > 1 << 20)
            assert await until_stable(lambda: relay.clients[0].bytes_in) < 16 << 20
            writer.close()


async def test_names_are_the_same_in_upper_and_lower_case(relay: InProcessRelay) -> None:
    async with service(echo) as port, relay.client() as box, relay.client() as opener_client:
        await box.forward_remote_port("home", 22, LOOPBACK, port)
        assert await exchange_by_name(opener_client, "HOME", 22, b"loud") == b"loud"


async def test_another_port_of_a_name_is_a_separate_binding(relay: InProcessRelay) -> None:
    async with relay.client() as box, relay.client() as opener_client:
        await box.forward_remote_port("home", 22, LOOPBACK, 9)
        with pytest.raises(asyncssh.ChannelOpenError):
            await opener_client.open_connection("home", 80)


async def test_a_name_without_a_port_is_refused(relay: InProcessRelay) -> None:
    async with relay.client() as box:
        with pytest.raises(asyncssh.ChannelListenError):
            await box.forward_remote_port("home", 0, LOOPBACK, 9)


async def test_a_name_is_released_when_its_client_disconnects(relay: InProcessRelay) -> None:
    async with relay.client() as opener_client:
        async with relay.client(user="other") as box:
            await box.forward_remote_port("home", 22, LOOPBACK, 9)
        await until(lambda: not relay.bound_targets)
        with pytest.raises(asyncssh.ChannelOpenError):
            await opener_client.open_connection("home", 22)


async def test_a_cancelled_name_is_released(relay: InProcessRelay) -> None:
    async with relay.client() as box:
        listener = await box.forward_remote_port("home", 22, LOOPBACK, 9)
        listener.close()
        await listener.wait_closed()
        assert relay.bound_targets == []


async def test_a_target_that_the_client_cannot_reach_is_reported(relay: InProcessRelay) -> None:
    async with relay.client() as box, relay.client() as opener_client:
        await box.forward_remote_port("home", 22, LOOPBACK, 1)
        with pytest.raises(asyncssh.ChannelOpenError, match="home:22: client: refused"):
            await opener_client.open_connection("home", 22)


@pytest.mark.parametrize("code", [1, 2, 3, 4, 99])
async def test_a_channel_refused_by_the_client_is_always_reported_as_connect_failed(
    relay: InProcessRelay, code: int
) -> None:
    def refuse(*_: object) -> asyncssh.SSHTCPSession[bytes]:
        raise asyncssh.ChannelOpenError(code, "not today")

    async with relay.client() as box, relay.client() as opener_client:
        await box.create_server(refuse, "home", 22)
        with pytest.raises(asyncssh.ChannelOpenError) as refused:
            await opener_client.open_connection("home", 22)

    assert refused.value.code == asyncssh.OPEN_CONNECT_FAILED
    assert refused.value.reason == "home:22: client: refused: not today"


async def test_a_forwarded_connection_closes_when_either_client_disconnects(
    relay: InProcessRelay,
) -> None:
    async with service(echo) as port, relay.client() as box:
        await box.forward_remote_port("home", 22, LOOPBACK, port)
        async with relay.client() as opener_client:
            await opener_client.open_connection("home", 22)
            await until(lambda: [client.channels for client in relay.clients] == [1, 1])
        await until(lambda: [client.channels for client in relay.clients] == [0])

        async with relay.client(user="me") as opener_client:
            reader, _ = await opener_client.open_connection("home", 22)
            box.abort()
            assert await reader.read() == b""


async def test_permits_apply_to_names(relay: InProcessRelay) -> None:
    listener, opener = new_key(), new_key()
    relay.authorize(listener, 'permitlisten="home:22"')
    relay.authorize(opener, 'permitopen="home:22"')
    async with (
        service(echo) as port,
        relay.client(listener) as box,
        relay.client(opener) as opener_client,
    ):
        await box.forward_remote_port("home", 22, LOOPBACK, port)
        with pytest.raises(asyncssh.ChannelListenError):
            await box.forward_remote_port("away", 22, LOOPBACK, port)
        async with relay.client() as other:
            await other.forward_remote_port("away", 22, LOOPBACK, port)

            assert await exchange_by_name(opener_client, "home", 22, b"in") == b"in"
            with pytest.raises(asyncssh.ChannelOpenError, match="is not permitted"):
                await opener_client.open_connection("away", 22)


async def test_a_host_name_with_dots_is_never_a_name(relay: InProcessRelay) -> None:
    async with relay.client() as box:
        listener = await box.forward_remote_port("db.example.com", 0, LOOPBACK, 9)
        assert relay.bound_targets == [f"localhost:{listener.get_port()}"]


async def test_names_can_be_disabled(tmp_path: Path) -> None:
    async with serve_relay(tmp_path, names=()) as relay, relay.client() as box:
        listener = await box.forward_remote_port("home", 0, LOOPBACK, 9)
        assert relay.bound_targets == [f"localhost:{listener.get_port()}"]
