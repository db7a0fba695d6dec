"""The monitoring loop of -M on one machine: a local server stands for the SSH connection."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.e2e.ports import free_port_range
from tests.fake_clock import FakeClock, settle, until, within_deadline
from tunnelkeeper.autossh.command_line import Monitor
from tunnelkeeper.autossh.monitor_protocol import Timing
from tunnelkeeper.autossh.ssh_command import CommandLineError
from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.oneshot.autossh import monitor_loop as module
from tunnelkeeper.oneshot.autossh.log import Level
from tunnelkeeper.oneshot.autossh.monitor_loop import Loop, MonitorLoop
from tunnelkeeper.oneshot.autossh.monitor_ports import ReturnPort, check_loopback, hold_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

POLL = 100.0
SHORT = 0.3
"""Seconds to wait for data that does not come."""
LONG = 60.0
"""Seconds to wait for data that comes."""


@dataclass
class LoopUnderTest:
    """A monitoring loop whose connection is `carry`, a function that gets each line."""

    monitor: Monitor
    clock: FakeClock = field(default_factory=FakeClock)
    lines: list[tuple[Level, str]] = field(default_factory=list)
    failure: Failure | None = None
    return_port: ReturnPort | None = None
    carry: Callable[[bytes], bytes] = lambda line: line
    is_bound: bool = True

    def log(self, level: Level, text: str) -> None:
        self.lines.append((level, text))

    def has_logged(self, text: str) -> bool:
        return any(text in line for _, line in self.lines)

    def count(self, text: str, level: Level) -> int:
        return sum(text in line and at is level for at, line in self.lines)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Return the line of a client, to the same socket or to the return port."""
        back = writer
        if self.monitor.echo_port is None:
            _, back = await asyncio.open_connection("127.0.0.1", self.monitor.port + 1)
        back.write(self.carry(await reader.readline()))
        await reader.read()
        for each in {back, writer}:
            each.close()

    async def poll(self) -> None:
        """Let the next probe begin."""
        await settle()
        await self.clock.advance(POLL)


@asynccontextmanager
async def monitoring(
    echo_port: int | None = None, *, timeout: float = LONG, bound: bool = True
) -> AsyncIterator[tuple[LoopUnderTest, asyncio.Task[None]]]:
    port = free_port_range(2)
    monitor = Monitor(port, echo_port)
    subject = LoopUnderTest(monitor)
    return_socket = hold_ports(monitor)
    if return_socket is not None:
        subject.return_port = ReturnPort(return_socket, lambda text: subject.log(Level.DEBUG, text))
    parts = Loop(monitor, subject.return_port, lambda: subject.failure)
    loop = MonitorLoop(parts, Timing(POLL, POLL, timeout), "hello", subject.clock, subject.log)
    server = await asyncio.start_server(subject.serve, "127.0.0.1", port) if bound else None
    task = asyncio.get_running_loop().create_task(loop.run_until_broken())
    try:
        yield subject, task
    finally:
        task.cancel()
        await asyncio.wait({task})
        if subject.return_port is not None:
            subject.return_port.close()
        if server is not None:
            server.close()
            await server.wait_closed()
        await settle()


@pytest.mark.parametrize("echo_port", [None, 7])
async def test_a_line_that_returns_keeps_the_connection(echo_port: int | None) -> None:
    async with monitoring(echo_port) as (loop, task):
        await loop.poll()
        await until(lambda: loop.has_logged("connection ok"))
        await loop.poll()
        await until(lambda: loop.count("connection ok", Level.DEBUG) == 2)

        assert not task.done()


@pytest.mark.parametrize("echo_port", [None, 7])
async def test_a_line_that_does_not_return_ends_the_loop(echo_port: int | None) -> None:
    async with monitoring(echo_port, timeout=SHORT) as (loop, task):
        loop.carry = lambda _: b""
        await loop.poll()
        async with within_deadline():
            await task

        assert loop.has_logged("tried connection 2 times and failed")
        assert not loop.has_logged("Error")


async def test_another_line_in_a_loop_through_an_echo_service_ends_it() -> None:
    async with monitoring(7) as (loop, task):
        loop.carry = bytes.upper
        await loop.poll()
        async with within_deadline():
            await task

        assert loop.has_logged("not what I sent")


async def test_a_stranger_at_the_return_port_does_not_disturb() -> None:
    async with monitoring() as (loop, task):
        port = loop.monitor.port + 1

        def carry(line: bytes) -> bytes:
            with socket.create_connection(("127.0.0.1", port)) as stranger:
                stranger.sendall(b"GET / HTTP/1.1\r\n" * 50)
            return line

        loop.carry = carry
        await loop.poll()
        await until(lambda: loop.has_logged("connection ok"))

        assert not task.done()


async def test_a_client_between_two_probes_is_disconnected() -> None:
    async with monitoring() as (loop, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", loop.monitor.port + 1)
        async with within_deadline():
            with suppress(ConnectionResetError):
                assert not await reader.read()
        writer.close()


# -- conditions of this machine --------------------------------------------------------------------


async def probe_twice(loop: LoopUnderTest, text: str) -> None:
    """Run two probes that cannot test the connection. Only the first one is a warning."""
    await loop.poll()
    await until(lambda: loop.count(text, Level.WARNING) == 1)
    await loop.poll()
    await until(lambda: loop.count(text, Level.DEBUG) == 1)


async def test_a_port_that_is_not_bound_is_no_dead_connection() -> None:
    async with monitoring(bound=False) as (loop, task):
        await probe_twice(loop, f"127.0.0.1:{loop.monitor.port}: ")

        assert not task.done()


async def test_a_forward_that_does_not_listen_is_no_dead_connection() -> None:
    async with monitoring() as (loop, task):
        loop.failure = Failure(Cause.REMOTE_PORT_BUSY, "port 20000 is taken")
        await probe_twice(loop, "cannot test the connection: remote_port_busy: port 20000 is taken")
        loop.failure = None
        await loop.poll()
        await until(lambda: loop.has_logged("connection ok"))

        assert not task.done()


@contextmanager
def few_descriptors(limit: int) -> Iterator[None]:
    """Lower the limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_probe_without_free_descriptors_is_no_dead_connection() -> None:
    async with monitoring() as (loop, task):
        with few_descriptors(3):
            await loop.poll()
            await until(lambda: loop.has_logged("Too many open files"))

        assert not task.done()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.EMFILE, "Too many open files"),
        (errno.ENOMEM, "Cannot allocate memory"),
        (errno.ENETUNREACH, "Network is unreachable"),
    ],
)
async def test_a_failed_probe_on_a_machine_that_cannot_connect_to_itself_is_no_dead_connection(
    number: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_timeout: float) -> None:
        raise OSError(number, text)

    monkeypatch.setattr(module, "check_loopback", fail)
    async with monitoring(7) as (loop, task):
        loop.carry = lambda line: bytes(len(line))
        await loop.poll()
        await until(lambda: loop.has_logged(f"cannot test the connection: {text}"))

        assert not task.done()


async def test_the_loopback_check_needs_more_descriptors_than_clients_leave_free() -> None:
    await check_loopback(LONG)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    with few_descriptors(lowest_free + 5), pytest.raises(OSError, match="Too many open files"):
        await check_loopback(LONG)


# -- the ports -------------------------------------------------------------------------------------


@pytest.mark.parametrize("busy", [0, 1])
def test_a_busy_port_is_named(busy: int) -> None:
    port = free_port_range(2)
    with (
        socket.create_server(("127.0.0.1", port + busy)),
        pytest.raises(CommandLineError, match=f"bind on 127.0.0.1:{port + busy}: Address already"),
    ):
        hold_ports(Monitor(port))


def test_the_return_port_is_held() -> None:
    port = free_port_range(2)
    held = hold_ports(Monitor(port))
    assert held is not None
    with held, pytest.raises(CommandLineError, match=str(port + 1)):
        hold_ports(Monitor(port))


def test_a_loop_through_an_echo_service_needs_no_return_port() -> None:
    port = free_port_range(2)
    with socket.create_server(("127.0.0.1", port + 1)):
        assert hold_ports(Monitor(port, 7)) is None
