"""Names: a client listens on a name without a socket, and other clients connect to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.forwarding.services import blob, echo, hash_sink, service, sha256, source
from tests.relay.in_process_relay import HERE, Served, new_key, serving
from tests.ssh.waiting import until, until_stable

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK = ("127.0.0.1", "::1")
MUCH = 8 << 20


async def is_bound(port: int) -> bool:
    for host in LOOPBACK:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            continue
        writer.close()
        return True
    return False


async def talk(
    opener_client: asyncssh.SSHClientConnection, name: str, port: int, data: bytes
) -> bytes:
    """Send data and EOF to a name; return all data received."""
    reader, writer = await opener_client.open_connection(name, port)
    writer.write(data)
    await writer.drain()
    writer.write_eof()
    return bytes(await reader.read())


async def test_a_name_is_connected_to_the_client_that_listens_on_it(served: Served) -> None:
    async with (
        service(echo) as port,
        served.client() as box,
        served.client(user="me") as opener_client,
    ):
        await box.forward_remote_port("home", 22, HERE, port)

        assert served.held == ["home:22"]
        assert not await is_bound(22)
        assert await talk(opener_client, "home", 22, b"hello box") == b"hello box"


async def test_data_of_a_server_that_speaks_first_arrives(served: Served) -> None:
    async with service(source(b"SSH-2.0-box\r\n")) as port, served.client() as box:
        await box.forward_remote_port("home", 22, HERE, port)
        async with served.client() as opener_client:
            reader, _ = await opener_client.open_connection("home", 22)
            assert await reader.read() == b"SSH-2.0-box\r\n"


async def test_much_data_and_half_close_pass_both_ways(served: Served) -> None:
    async with (
        service(hash_sink) as sink,
        service(source(blob(MUCH))) as spring,
        served.client() as box,
        served.client() as opener_client,
    ):
        await box.forward_remote_port("sink", 1, HERE, sink)
        await box.forward_remote_port("spring", 1, HERE, spring)

        assert await talk(opener_client, "sink", 1, blob(MUCH)) == sha256(blob(MUCH)).encode()
        assert sha256(await talk(opener_client, "spring", 1, b"")) == sha256(blob(MUCH))


async def test_a_slow_reader_pauses_the_sender(served: Served) -> None:
    async with service(source(blob(64 << 20))) as port, served.client() as box:
        await box.forward_remote_port("spring", 1, HERE, port)
        async with served.client() as opener_client:
            _, writer = await opener_client.open_connection("spring", 1)
            await until(lambda: served.clients[0].bytes_in > 1 << 20)
            assert await until_stable(lambda: served.clients[0].bytes_in) < 16 << 20
            writer.close()


async def test_names_are_the_same_in_upper_and_lower_case(served: Served) -> None:
    async with service(echo) as port, served.client() as box, served.client() as opener_client:
        await box.forward_remote_port("home", 22, HERE, port)
        assert await talk(opener_client, "HOME", 22, b"loud") == b"loud"


async def test_another_port_of_a_name_is_a_separate_binding(served: Served) -> None:
    async with served.client() as box, served.client() as opener_client:
        await box.forward_remote_port("home", 22, HERE, 9)
        with pytest.raises(asyncssh.ChannelOpenError):
            await opener_client.open_connection("home", 80)


async def test_a_name_without_a_port_is_refused(served: Served) -> None:
    async with served.client() as box:
        with pytest.raises(asyncssh.ChannelListenError):
            await box.forward_remote_port("home", 0, HERE, 9)


async def test_a_name_is_released_when_its_client_disconnects(served: Served) -> None:
    async with served.client() as opener_client:
        async with served.client(user="other") as box:
            await box.forward_remote_port("home", 22, HERE, 9)
        await until(lambda: not served.held)
        with pytest.raises(asyncssh.ChannelOpenError):
            await opener_client.open_connection("home", 22)


async def test_a_cancelled_name_is_released(served: Served) -> None:
    async with served.client() as box:
        listener = await box.forward_remote_port("home", 22, HERE, 9)
        listener.close()
        await listener.wait_closed()
        assert served.held == []


async def test_a_target_that_the_client_cannot_reach_is_reported(served: Served) -> None:
    async with served.client() as box, served.client() as opener_client:
        await box.forward_remote_port("home", 22, HERE, 1)
        with pytest.raises(asyncssh.ChannelOpenError, match="home:22: client: refused"):
            await opener_client.open_connection("home", 22)


@pytest.mark.parametrize("code", [1, 2, 3, 4, 99])
async def test_a_channel_refused_by_the_client_is_always_reported_as_connect_failed(
    served: Served, code: int
) -> None:
    def refuse(*_: object) -> asyncssh.SSHTCPSession[bytes]:
        raise asyncssh.ChannelOpenError(code, "not today")

    async with served.client() as box, served.client() as opener_client:
        await box.create_server(refuse, "home", 22)
        with pytest.raises(asyncssh.ChannelOpenError) as refused:
            await opener_client.open_connection("home", 22)

    assert refused.value.code == asyncssh.OPEN_CONNECT_FAILED
    assert refused.value.reason == "home:22: client: refused: not today"


async def test_a_forwarded_connection_closes_when_either_client_disconnects(served: Served) -> None:
    async with service(echo) as port, served.client() as box:
        await box.forward_remote_port("home", 22, HERE, port)
        async with served.client() as opener_client:
            await opener_client.open_connection("home", 22)
            await until(lambda: [client.channels for client in served.clients] == [1, 1])
        await until(lambda: [client.channels for client in served.clients] == [0])

        async with served.client(user="me") as opener_client:
            reader, _ = await opener_client.open_connection("home", 22)
            box.abort()
            assert await reader.read() == b""


async def test_permits_apply_to_names(served: Served) -> None:
    listener, opener = new_key(), new_key()
    served.authorize(listener, 'permitlisten="home:22"')
    served.authorize(opener, 'permitopen="home:22"')
    async with (
        service(echo) as port,
        served.client(listener) as box,
        served.client(opener) as opener_client,
    ):
        await box.forward_remote_port("home", 22, HERE, port)
        with pytest.raises(asyncssh.ChannelListenError):
            await box.forward_remote_port("away", 22, HERE, port)
        async with served.client() as other:
            await other.forward_remote_port("away", 22, HERE, port)

            assert await talk(opener_client, "home", 22, b"in") == b"in"
            with pytest.raises(asyncssh.ChannelOpenError, match="is not permitted"):
                await opener_client.open_connection("away", 22)


async def test_a_host_name_with_dots_is_never_a_name(served: Served) -> None:
    async with served.client() as box:
        listener = await box.forward_remote_port("db.example.com", 0, HERE, 9)
        assert served.held == [f"localhost:{listener.get_port()}"]


async def test_names_can_be_disabled(tmp_path: Path) -> None:
    async with serving(tmp_path, names=False) as served, served.client() as box:
        listener = await box.forward_remote_port("home", 0, HERE, 9)
        assert served.held == [f"localhost:{listener.get_port()}"]
