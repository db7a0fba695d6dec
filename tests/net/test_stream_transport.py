"""The transport of accepted clients, on real sockets."""

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
class Heard(asyncio.Protocol):
    """Writes down what its transport tells it. keeps: whether it stays open at the other's end."""

    keeps: bool = True
    on_made: Callable[[asyncio.Transport], None] = lambda _: None
    on_data: Callable[[bytes], None] = lambda _: None
    told: list[object] = field(default_factory=list)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.on_made(transport)

    def data_received(self, data: bytes) -> None:
        self.told.append(data)
        self.on_data(data)

    def eof_received(self) -> bool:
        self.told.append("eof")
        return self.keeps

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append(("lost", type(exc)))


LOST = ("lost", type(None))


@contextmanager
def pair(protocol: Heard) -> Iterator[tuple[StreamTransport, socket.socket]]:
    """A transport that serves the protocol, and the socket at its other end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with theirs:
        transport = StreamTransport(asyncio.get_running_loop(), ours, protocol, "a peer")
        yield transport, theirs
        transport.abort()


async def drained(sock: socket.socket, taken: int = MEGABYTE) -> bytes:
    """All that comes until the end. taken: bytes at a time, at the most."""
    received = bytearray()
    loop = asyncio.get_running_loop()
    while buffer := await loop.sock_recv(sock, taken):
        received += buffer
    return bytes(received)


async def test_what_comes_is_handed_on_and_the_end_is_told() -> None:
    heard = Heard()
    with pair(heard) as (transport, theirs):
        theirs.send(b"hello")
        theirs.shutdown(socket.SHUT_WR)
        await until(lambda: heard.told == [b"hello", "eof"])
        assert not transport.is_closing()

        transport.resume_reading()  # the end is not told twice

        transport.write(b"answer")
        transport.close()
        assert await drained(theirs) == b"answer"
        await until(lambda: heard.told[-1] == LOST)


async def test_a_protocol_that_does_not_stay_is_closed_at_the_others_end() -> None:
    heard = Heard(keeps=False)
    with pair(heard) as (_, theirs):
        theirs.shutdown(socket.SHUT_WR)
        assert await drained(theirs) == b""
        await until(lambda: heard.told == ["eof", LOST])


async def test_nothing_is_read_while_it_is_paused_even_from_the_start() -> None:
    heard = Heard(on_made=lambda transport: transport.pause_reading())
    with pair(heard) as (transport, theirs):
        theirs.send(b"hello")
        assert not transport.is_reading()
        for _ in range(5):
            await asyncio.sleep(0)
        assert heard.told == []

        transport.resume_reading()
        await until(lambda: heard.told == [b"hello"])

        transport.pause_reading()
        transport.pause_reading()
        theirs.send(b"more")
        for _ in range(5):
            await asyncio.sleep(0)
        assert heard.told == [b"hello"]


async def test_what_is_there_can_be_had_in_the_same_turn_but_not_while_it_is_paused() -> None:
    heard = Heard()
    with pair(heard) as (transport, theirs):
        transport.read_now()
        assert heard.told == []

        theirs.send(b"hello")
        transport.read_now()
        assert heard.told == [b"hello"]

        transport.pause_reading()
        theirs.send(b"more")
        transport.read_now()
        assert heard.told == [b"hello"]


async def test_what_the_socket_does_not_take_waits_and_arrives_whole_and_in_order() -> None:
    heard, data = Heard(), blob(4 * MEGABYTE)
    with pair(heard) as (transport, theirs):
        for at in range(0, len(data), 32768):
            transport.write(memoryview(data)[at : at + 32768])
        transport.write_eof()
        transport.write(b"nothing goes out behind the end")
        assert transport.get_write_buffer_size() > 0
        assert heard.told == ["pause"]

        assert await drained(theirs) == data
        assert heard.told == ["pause", "resume"]
        assert transport.get_write_buffer_size() == 0


@given(st.lists(st.binary(max_size=90_000), max_size=12), st.integers(1, 70_000))
def test_any_pieces_arrive_whatever_the_reader_takes_at_a_time(
    buffers: list[bytes], taken: int
) -> None:
    async def carried() -> bytes:
        with pair(Heard()) as (transport, theirs):
            for buffer in buffers:
                transport.write(bytearray(buffer))
            transport.close()
            return await drained(theirs, taken)

    assert asyncio.run(carried()) == b"".join(buffers)


async def test_a_changed_buffer_does_not_change_what_waits() -> None:
    with pair(Heard()) as (transport, theirs):
        filler, mine = blob(2 * MEGABYTE), bytearray(b"as it was")
        transport.write(filler)
        transport.write(mine)
        mine[:] = b"otherwise"
        transport.close()

        assert await drained(theirs) == filler + b"as it was"


async def test_closing_sends_what_waits_and_reads_no_more() -> None:
    heard, data = Heard(), blob(2 * MEGABYTE)
    with pair(heard) as (transport, theirs):
        transport.write(data)
        transport.close()
        transport.close()
        assert not transport.is_reading()
        transport.resume_reading()
        assert not transport.is_reading()

        assert await drained(theirs) == data
        await until(lambda: LOST in heard.told)


async def test_aborting_drops_what_waits_and_is_told_once() -> None:
    heard = Heard()
    with pair(heard) as (transport, _):
        transport.write(blob(2 * MEGABYTE))
        transport.abort()
        transport.abort()
        assert "lost" not in str(heard.told)  # not from within

        await until(lambda: LOST in heard.told)
        assert transport.get_write_buffer_size() == 0
        transport.write(b"nobody is there")
        await asyncio.sleep(0)
        assert heard.told.count(LOST) == 1


@pytest.mark.parametrize("amount", [10, 2 * MEGABYTE])
async def test_an_end_that_is_gone_is_found_by_writing(amount: int) -> None:
    heard = Heard()
    with pair(heard) as (transport, theirs):
        transport.pause_reading()
        transport.write(blob(amount))
        theirs.close()
        transport.write(b"more")

        await until(lambda: ("lost", BrokenPipeError) in heard.told)
        assert transport.is_closing()


async def test_a_reset_is_told_with_its_reason() -> None:
    heard = Heard()
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, peername = server.accept()
    ours.setblocking(False)
    StreamTransport(asyncio.get_running_loop(), ours, heard, peername)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    theirs.close()

    await until(lambda: heard.told == [("lost", ConnectionResetError)])


async def test_a_fault_of_the_protocol_ends_its_connection_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fault(_: bytes) -> None:
        raise RuntimeError("nobody foresaw this")

    heard = Heard(on_data=fault)
    with pair(heard) as (_, theirs):
        theirs.send(b"hello")
        assert await drained(theirs) == b""
        await until(lambda: ("lost", RuntimeError) in heard.told)

    assert "an internal fault; please report it" in caplog.text


async def test_it_says_what_it_is() -> None:
    heard = Heard()
    with pair(heard) as (transport, theirs):
        assert transport.get_extra_info("peername") == "a peer"
        assert transport.get_extra_info("sockname") == theirs.getpeername()
        assert transport.get_extra_info("socket").fileno() >= 0
        assert transport.get_extra_info("cipher", "none") == "none"
        assert transport.can_write_eof()
        assert transport.get_protocol() is heard
        assert transport.is_reading()

        other = Heard()
        transport.set_protocol(other)
        theirs.send(b"hello")
        await until(lambda: other.told == [b"hello"])


async def test_the_water_marks_can_be_set() -> None:
    with pair(Heard()) as (transport, _):
        transport.set_write_buffer_limits(low=10)
        assert transport.get_write_buffer_limits() == (10, 40)
        transport.set_write_buffer_limits(high=100, low=1)
        assert transport.get_write_buffer_limits() == (1, 100)
        transport.set_write_buffer_limits()
        assert transport.get_write_buffer_limits() == (16384, 65536)


async def test_an_end_of_sending_on_a_socket_that_is_reset_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    ours.setblocking(False)
    heard = Heard(on_made=lambda transport: transport.pause_reading())
    transport = StreamTransport(asyncio.get_running_loop(), ours, heard)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    theirs.close()

    with pytest.raises(OSError, match="not connected") as raised:
        transport.write_eof()
    transport.abort()
    await until(lambda: LOST in heard.told)

    assert raised.value.errno == errno.ENOTCONN


@given(st.lists(st.binary(max_size=40_000), max_size=90), st.integers(1, 70_000))
def test_several_pieces_at_once_arrive_whatever_the_reader_takes(
    buffers: list[bytes], taken: int
) -> None:
    async def carried() -> bytes:
        with pair(Heard()) as (transport, theirs):
            for start in range(0, len(buffers), 70):
                transport.writelines(memoryview(buffer) for buffer in buffers[start : start + 70])
            transport.close()
            return await drained(theirs, taken)

    assert asyncio.run(carried()) == b"".join(buffers)


async def test_several_pieces_at_once_find_an_end_that_is_gone() -> None:
    heard = Heard(on_made=lambda transport: transport.pause_reading())
    with pair(heard) as (transport, theirs):
        theirs.close()
        transport.writelines([b"one", b"two"])

        await until(lambda: heard.told == [("lost", BrokenPipeError)])
