"""The send queue that Linux reports, and a slow link on which a keepalive waits."""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio.trsock import TransportSocket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.ssh.waiting import until
from tunnelkeeper.core.configuration import Keepalive
from tunnelkeeper.core.keepalive import KeepaliveState
from tunnelkeeper.ssh.keepalive_monitor import KeepaliveMonitor, SendQueue, is_draining

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.ssh.transport import ClientTransport

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports it")
MEGABYTE = b"x" * (1 << 20)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield both ends of a TCP connection whose second end buffers little."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with (
            socket.create_connection(listener.getsockname()) as sender,
            listener.accept()[0] as receiver,
        ):
            sender.setblocking(False)
            receiver.setblocking(False)
            yield sender, receiver


def queue_of(connection: socket.socket) -> SendQueue:
    queue = SendQueue.read(TransportSocket(connection))
    assert queue is not None
    return queue


def drain(connection: socket.socket) -> int:
    """Read what has arrived; return the number of bytes."""
    try:
        return len(connection.recv(1 << 16))
    except BlockingIOError:
        return 0


@on_linux
async def test_a_queue_that_is_acknowledged_slowly_is_draining(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    sender, receiver = pair
    sender.send(b"first")
    await until(lambda: not queue_of(sender).is_pending)
    sent = sender.send(MEGABYTE)
    before = queue_of(sender)
    assert before.is_pending

    read = 0

    def has_drained() -> bool:
        nonlocal read
        read += drain(receiver)
        return is_draining(before, queue_of(sender))

    await until(has_drained)
    assert not is_draining(queue_of(sender), queue_of(sender))

    def has_read_everything() -> bool:
        nonlocal read
        read += drain(receiver)
        return read == len(b"first") + sent and not queue_of(sender).is_pending

    await until(has_read_everything)
    assert queue_of(sender).acknowledged >= sent
    assert not is_draining(before, queue_of(sender))


def test_a_socket_that_is_not_tcp_has_no_send_queue() -> None:
    sender, receiver = socket.socketpair()
    with closing(sender), closing(receiver):
        assert SendQueue.read(TransportSocket(sender)) is None
    assert SendQueue.read(TransportSocket(sender)) is None
    assert SendQueue.read(None) is None


def test_a_system_without_tcp_info_has_no_send_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class FakeSocket:
        def getsockopt(self, *_: object) -> bytes:
            return b"\0" * 104

    if hasattr(socket, "TCP_INFO"):
        assert SendQueue.read(FakeSocket()) is None  # type: ignore[arg-type]
    monkeypatch.delattr(socket, "TCP_INFO", raising=False)
    assert SendQueue.read(FakeSocket()) is None  # type: ignore[arg-type]


def test_an_unknown_send_queue_is_not_draining() -> None:
    busy, busier = SendQueue(True, 1), SendQueue(True, 2)

    assert is_draining(busy, busier)
    assert not is_draining(None, busier)
    assert not is_draining(busy, None)


class FakeTransport:
    """A transport that receives nothing. tasks: the coroutines that end it."""

    last_received_at = 0.0

    def __init__(self) -> None:
        self.started = 0

    def is_closed(self) -> bool:
        return False

    def get_extra_info(self, _: str) -> None:
        return None

    async def send_keepalive(self, *, is_repeated: bool = False) -> bool:
        return False

    def start_task(self, coroutine: object) -> None:
        self.started += 1
        coroutine.close()  # type: ignore[attr-defined]


async def test_a_peer_is_dead_only_when_its_send_queue_stops_draining(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queues = iter([SendQueue(True, 1), SendQueue(True, 2), SendQueue(True, 2)])
    monkeypatch.setattr(SendQueue, "read", classmethod(lambda _cls, _connection: next(queues)))
    fake = FakeTransport()
    transport: ClientTransport = fake  # type: ignore[assignment]
    monitor = KeepaliveMonitor(transport, Keepalive(0, 3))
    monitor.probe_now()
    for is_dead in (False, True):
        before = fake.started
        monitor.stop()
        monitor._state = KeepaliveState(0.0, 0, 0.0, 0.0)
        monitor._on_timer()
        assert (fake.started > before) is is_dead
        assert (monitor._timer is None) is is_dead
    await asyncio.sleep(0)
    monitor.stop()
