"""The stream transport, on real sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.forwarding.services import blob
from tests.ssh.waiting import until
from tunnelkeeper.net.stream_transport import StreamTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MEGABYTE = 1024 * 1024


@dataclass
class Recorder(asyncio.Protocol):
    """Records its callbacks. keep_open: the result of eof_received()."""

    keep_open: bool = True
    on_made: Callable[[asyncio.Transport], None] = lambda _: None
    on_data: Callable[[bytes], None] = lambda _: None
    calls: list[object] = field(default_factory=list)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.on_made(transport)

    def data_received(self, data: bytes) -> None:
        self.calls.append(data)
        self.on_data(data)

    def eof_received(self) -> bool:
        self.calls.append("eof")
        return self.keep_open

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append(("lost", type(exc)))


CLOSED = ("lost", type(None))


@contextmanager
def pair(protocol: Recorder) -> Iterator[tuple[StreamTransport, socket.socket]]:
    """Yield a transport that serves the protocol, and the socket of its peer."""
    sock, peer = socket.socketpair()
    sock.setblocking(False)
    peer.setblocking(False)
    with peer:
        transport = StreamTransport(asyncio.get_running_loop(), sock, protocol, "a peer")
        yield transport, peer
        transport.abort()


async def read_until_eof(sock: socket.socket, max_read: int = MEGABYTE) -> bytes:
    """Read until EOF. max_read: the maximum number of bytes for each read."""
    received = bytearray()
    loop = asyncio.get_running_loop()
    while buffer := await loop.sock_recv(sock, max_read):
        received += buffer
    return bytes(received)


async def test_data_and_eof_are_passed_to_the_protocol() -> None:
    recorder = Recorder()
    with pair(recorder) as (transport, peer):
        peer.send(b"hello")
        peer.shutdown(socket.SHUT_WR)
        await until(lambda: recorder.calls == [b"hello", "eof"])
        assert not transport.is_closing()

        transport.resume_reading()  # EOF is not reported twice

        transport.write(b"answer")
        transport.close()
        assert await read_until_eof(peer) == b"answer"
        await until(lambda: recorder.calls[-1] == CLOSED)


async def test_eof_closes_the_transport_if_the_protocol_does_not_keep_it_open() -> None:
    recorder = Recorder(keep_open=False)
    with pair(recorder) as (_, peer):
        peer.shutdown(socket.SHUT_WR)
        assert await read_until_eof(peer) == b""
        await until(lambda: recorder.calls == ["eof", CLOSED])


async def test_nothing_is_read_while_paused_even_from_connection_made_on() -> None:
    recorder = Recorder(on_made=lambda transport: transport.pause_reading())
    with pair(recorder) as (transport, peer):
        peer.send(b"hello")
        assert not transport.is_reading()
        for _ in range(5):
            await asyncio.sleep(0)
        assert recorder.calls == []

        transport.resume_reading()
        await until(lambda: recorder.calls == [b"hello"])

        transport.pause_reading()
        transport.pause_reading()
        peer.send(b"more")
        for _ in range(5):
            await asyncio.sleep(0)
        assert recorder.calls == [b"hello"]


async def test_read_now_reads_available_data_at_once_unless_paused() -> None:
    recorder = Recorder()
    with pair(recorder) as (transport, peer):
        transport.read_now()
        assert recorder.calls == []

        peer.send(b"hello")
        transport.read_now()
        assert recorder.calls == [b"hello"]

        transport.pause_reading()
        peer.send(b"more")
        transport.read_now()
        assert recorder.calls == [b"hello"]


async def test_queued_data_arrives_complete_and_in_order() -> None:
    recorder, data = Recorder(), blob(4 * MEGABYTE)
    with pair(recorder) as (transport, peer):
        for at in range(0, len(data), 32768):
            transport.write(memoryview(data)[at : at + 32768])
        transport.write_eof()
        transport.write(b"data after EOF is dropped")
        assert transport.get_write_buffer_size() > 0
        assert recorder.calls == ["pause"]

        assert await read_until_eof(peer) == data
        assert recorder.calls == ["pause", "resume"]
        assert transport.get_write_buffer_size() == 0


@given(st.lists(st.binary(max_size=90_000), max_size=12), st.integers(1, 70_000))
def test_any_buffers_arrive_whatever_the_size_of_the_reads(
    buffers: list[bytes], max_read: int
) -> None:
    async def carried() -> bytes:
        with pair(Recorder()) as (transport, peer):
            for buffer in buffers:
                transport.write(bytearray(buffer))
            transport.close()
            return await read_until_eof(peer, max_read)

    assert asyncio.run(carried()) == b"".join(buffers)


async def test_changing_a_bytearray_does_not_change_queued_data() -> None:
    with pair(Recorder()) as (transport, peer):
        queued, changing = blob(2 * MEGABYTE), bytearray(b"original")
        transport.write(queued)
        transport.write(changing)
        changing[:] = b"modified"
        transport.close()

        assert await read_until_eof(peer) == queued + b"original"


async def test_close_sends_queued_data_and_stops_reading() -> None:
    recorder, data = Recorder(), blob(2 * MEGABYTE)
    with pair(recorder) as (transport, peer):
        transport.write(data)
        transport.close()
        transport.close()
        assert not transport.is_reading()
        transport.resume_reading()
        assert not transport.is_reading()

        assert await read_until_eof(peer) == data
        await until(lambda: CLOSED in recorder.calls)


async def test_abort_drops_queued_data_and_reports_the_loss_once() -> None:
    recorder = Recorder()
    with pair(recorder) as (transport, _):
        transport.write(blob(2 * MEGABYTE))
        transport.abort()
        transport.abort()
        assert "lost" not in str(recorder.calls)  # not called from within abort()

        await until(lambda: CLOSED in recorder.calls)
        assert transport.get_write_buffer_size() == 0
        transport.write(b"no peer")
        await asyncio.sleep(0)
        assert recorder.calls.count(CLOSED) == 1


@pytest.mark.parametrize("amount", [10, 2 * MEGABYTE])
async def test_writing_to_a_closed_peer_reports_a_broken_pipe(amount: int) -> None:
    recorder = Recorder()
    with pair(recorder) as (transport, peer):
        transport.pause_reading()
        transport.write(blob(amount))
        peer.close()
        transport.write(b"more")

        await until(lambda: ("lost", BrokenPipeError) in recorder.calls)
        assert transport.is_closing()


async def test_a_reset_is_reported_with_its_error() -> None:
    recorder = Recorder()
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.create_connection(server.getsockname())
        sock, peername = server.accept()
    sock.setblocking(False)
    StreamTransport(asyncio.get_running_loop(), sock, recorder, peername)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()

    await until(lambda: recorder.calls == [("lost", ConnectionResetError)])


async def test_an_exception_in_the_protocol_closes_its_connection_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fault(_: bytes) -> None:
        raise RuntimeError("a bug")

    recorder = Recorder(on_data=fault)
    with pair(recorder) as (_, peer):
        peer.send(b"hello")
        assert await read_until_eof(peer) == b""
        await until(lambda: ("lost", RuntimeError) in recorder.calls)

    assert "an internal fault; please report it" in caplog.text


async def test_extra_info_and_protocol_are_available() -> None:
    recorder = Recorder()
    with pair(recorder) as (transport, peer):
        assert transport.get_extra_info("peername") == "a peer"
        assert transport.get_extra_info("sockname") == peer.getpeername()
        assert transport.get_extra_info("socket").fileno() >= 0
        assert transport.get_extra_info("cipher", "none") == "none"
        assert transport.can_write_eof()
        assert transport.get_protocol() is recorder
        assert transport.is_reading()

        new_protocol = Recorder()
        transport.set_protocol(new_protocol)
        peer.send(b"hello")
        await until(lambda: new_protocol.calls == [b"hello"])


async def test_the_water_marks_can_be_set() -> None:
    with pair(Recorder()) as (transport, _):
        transport.set_write_buffer_limits(low=10)
        assert transport.get_write_buffer_limits() == (10, 40)
        transport.set_write_buffer_limits(high=100, low=1)
        assert transport.get_write_buffer_limits() == (1, 100)
        transport.set_write_buffer_limits()
        assert transport.get_write_buffer_limits() == (16384, 65536)


async def test_write_eof_on_a_reset_socket_raises_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.create_connection(server.getsockname())
        sock, _ = server.accept()
    sock.setblocking(False)
    recorder = Recorder(on_made=lambda transport: transport.pause_reading())
    transport = StreamTransport(asyncio.get_running_loop(), sock, recorder)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()

    with pytest.raises(OSError, match="not connected") as raised:
        transport.write_eof()
    transport.abort()
    await until(lambda: CLOSED in recorder.calls)

    assert raised.value.errno == errno.ENOTCONN


@given(st.lists(st.binary(max_size=40_000), max_size=90), st.integers(1, 70_000))
def test_writelines_sends_all_buffers_whatever_the_size_of_the_reads(
    buffers: list[bytes], max_read: int
) -> None:
    async def carried() -> bytes:
        with pair(Recorder()) as (transport, peer):
            for start in range(0, len(buffers), 70):
                transport.writelines(memoryview(buffer) for buffer in buffers[start : start + 70])
            transport.close()
            return await read_until_eof(peer, max_read)

    assert asyncio.run(carried()) == b"".join(buffers)


async def test_writelines_to_a_closed_peer_reports_a_broken_pipe() -> None:
    recorder = Recorder(on_made=lambda transport: transport.pause_reading())
    with pair(recorder) as (transport, peer):
        peer.close()
        transport.writelines([b"one", b"two"])

        await until(lambda: recorder.calls == [("lost", BrokenPipeError)])


@pytest.mark.parametrize("wants_last_data", [True, False])
async def test_the_last_data_is_delivered_to_a_protocol_that_wants_it(
    wants_last_data: bool,
) -> None:
    recorder = Recorder(on_made=lambda transport: transport.write(b"hello"))
    recorder.wants_last_data = wants_last_data  # type: ignore[attr-defined]
    here, there = socket.socketpair()
    there.sendall(b"go away")
    there.close()
    here.setblocking(False)

    StreamTransport(asyncio.get_running_loop(), here, recorder)
    await until(lambda: recorder.calls[-1:] == [("lost", BrokenPipeError)])

    assert recorder.calls[:-1] == ([b"go away"] if wants_last_data else [])
