"""Accepting clients: each is served, and a system without room is waited for."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.ssh.waiting import until
from tunnelkeeper.net import acceptor as module
from tunnelkeeper.net.acceptor import Acceptor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Client(asyncio.Protocol):
    """Answers with the name of its peer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(str(transport.get_extra_info("peername")).encode())
        transport.close()


class Exhausted(socket.socket):
    """A listening socket of a process that has no descriptor left while `left` is False."""

    left = False
    asked = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.asked += 1
        if not self.left:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


@asynccontextmanager
async def accepting(
    sock: socket.socket, factory: Callable[[], asyncio.Protocol] = Client
) -> AsyncIterator[Acceptor]:
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    acceptor = Acceptor(sock, factory)
    try:
        yield acceptor
    finally:
        acceptor.close()


async def answer(port: int) -> tuple[bytes, str]:
    """What a client is told, and what it should be."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await reader.read(), str(writer.get_extra_info("sockname"))
    finally:
        writer.close()


async def test_a_hundred_clients_at_once_are_all_served() -> None:
    async with accepting(socket.socket()) as acceptor, asyncio.timeout(20):
        port = acceptor.socket.getsockname()[1]
        answers = await asyncio.gather(*(answer(port) for _ in range(100)))

    assert all(said.decode() == name for said, name in answers)


async def test_clients_have_their_small_packets_sent_at_once() -> None:
    made = asyncio.get_running_loop().create_future()

    class Asked(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            sock = transport.get_extra_info("socket")
            made.set_result(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    async with accepting(socket.socket(), Asked) as acceptor, asyncio.timeout(10):
        await answer(acceptor.socket.getsockname()[1])

        assert await made


async def test_without_a_descriptor_it_rests_and_goes_on_by_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "ACCEPT_RETRY_DELAY", 0.01)
    sock = Exhausted()
    async with accepting(sock) as acceptor, asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        client = tasks.create_task(answer(acceptor.socket.getsockname()[1]))
        await until(lambda: sock.asked > 2)
        sock.left = True
        said, name = await client

    assert said.decode() == name
    assert "clients wait: " in caplog.text


async def test_it_can_be_closed_while_it_rests_and_twice() -> None:
    sock = Exhausted()
    async with accepting(sock) as acceptor, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        await until(lambda: sock.asked == 1)
        acceptor.close()

        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_client_that_cannot_be_served_is_closed_and_the_next_is_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clients = iter([None, Client])

    def factory() -> asyncio.Protocol:
        kind = next(clients)
        if kind is None:
            raise RuntimeError("nobody foresaw this")
        return kind()

    async with accepting(socket.socket(), factory) as acceptor, asyncio.timeout(10):
        port = acceptor.socket.getsockname()[1]
        with pytest.raises(ConnectionResetError):
            await answer(port)
        said, name = await answer(port)

    assert said.decode() == name
    assert "an internal fault; please report it" in caplog.text
