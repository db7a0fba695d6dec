"""The accept loop: every client is served, and it retries when descriptors run out."""

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


class AddressSender(asyncio.Protocol):
    """Sends the peer's address and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(str(transport.get_extra_info("peername")).encode())
        transport.close()


class ExhaustedSocket(socket.socket):
    """A listening socket whose accept() fails without descriptors. calls: calls of accept()."""

    has_free_descriptors = False
    calls = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.calls += 1
        if not self.has_free_descriptors:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


@asynccontextmanager
async def accepting(
    sock: socket.socket, factory: Callable[[], asyncio.Protocol] = AddressSender
) -> AsyncIterator[Acceptor]:
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    acceptor = Acceptor(sock, factory)
    try:
        yield acceptor
    finally:
        acceptor.close()


async def receive_address(port: int) -> tuple[bytes, str]:
    """Return the data that a client receives, and the data that it should receive."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await reader.read(), str(writer.get_extra_info("sockname"))
    finally:
        writer.close()


async def test_a_hundred_simultaneous_clients_are_all_served() -> None:
    async with accepting(socket.socket()) as acceptor, asyncio.timeout(20):
        port = acceptor.socket.getsockname()[1]
        results = await asyncio.gather(*(receive_address(port) for _ in range(100)))

    assert all(received.decode() == name for received, name in results)


async def test_accepted_sockets_have_tcp_nodelay_set() -> None:
    no_delay = asyncio.get_running_loop().create_future()

    class NoDelay(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            sock = transport.get_extra_info("socket")
            no_delay.set_result(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    async with accepting(socket.socket(), NoDelay) as acceptor, asyncio.timeout(10):
        await receive_address(acceptor.socket.getsockname()[1])

        assert await no_delay


async def test_it_retries_after_descriptors_ran_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "ACCEPT_RETRY_DELAY", 0.01)
    sock = ExhaustedSocket()
    async with accepting(sock) as acceptor, asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        client = tasks.create_task(receive_address(acceptor.socket.getsockname()[1]))
        await until(lambda: sock.calls > 2)
        sock.has_free_descriptors = True
        received, name = await client

    assert received.decode() == name
    assert "clients wait: " in caplog.text


async def test_it_can_be_closed_during_the_retry_delay_and_twice() -> None:
    sock = ExhaustedSocket()
    async with accepting(sock) as acceptor, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        await until(lambda: sock.calls == 1)
        acceptor.close()

        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_failing_factory_closes_only_its_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clients = iter([None, AddressSender])

    def factory() -> asyncio.Protocol:
        kind = next(clients)
        if kind is None:
            raise RuntimeError("a bug")
        return kind()

    async with accepting(socket.socket(), factory) as acceptor, asyncio.timeout(10):
        port = acceptor.socket.getsockname()[1]
        with pytest.raises(ConnectionResetError):
            await receive_address(port)
        received, name = await receive_address(port)

    assert received.decode() == name
    assert "an internal fault; please report it" in caplog.text


async def test_accepting_many_clients_leaves_the_turn_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ACCEPT_SECONDS", 0.0)
    served: list[int] = []

    class Slow(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            served.append(len(served))

    async with accepting(socket.socket(), Slow) as acceptor:
        address = acceptor.socket.getsockname()
        clients = [socket.create_connection(address) for _ in range(3)]  # nothing runs meanwhile
        acceptor._accept()
        assert len(served) == 1
        await until(lambda: len(served) == len(clients))
        for client in clients:
            client.close()


class BrokenProtocol(asyncio.Protocol):
    """Fails as soon as a client is connected, like a program with a fault. ended: is called then.

    What it counts until connection_lost() must not be counted for ever.
    """

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        raise ZeroDivisionError

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended()


async def test_a_protocol_that_fails_at_once_learns_that_its_client_is_gone() -> None:
    ended: list[bool] = []

    def factory() -> asyncio.Protocol:
        return BrokenProtocol(lambda: ended.append(True))

    async with accepting(socket.socket(), factory) as acceptor, asyncio.timeout(20):
        port = acceptor.socket.getsockname()[1]
        for count in (1, 2):
            with pytest.raises(ConnectionResetError):
                await receive_address(port)
            assert len(ended) == count
