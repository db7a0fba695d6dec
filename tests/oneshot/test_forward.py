"""`forward` in its own process: when it ends, and when it does not."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from tests.e2e.ports import free_port
from tests.fake_clock import FakeClock, settle, until, within_deadline
from tests.tunnel.fake_ssh import DENIED, LOST, REFUSED, Attempt, FakeConnectionPool, make_host
from tunnelkeeper.core.configuration import Tunnel
from tunnelkeeper.core.forward_spec import parse_local
from tunnelkeeper.oneshot.forward import ForwardProgram, ForwardRequest
from tunnelkeeper.tunnel.event_log import EventLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.tunnel.fake_ssh import HostChain
    from tunnelkeeper.core.first_connection import Reason
    from tunnelkeeper.core.snapshot import LogRecord, TunnelSnapshot
    from tunnelkeeper.ssh.connection_pool import ConnectionPool


class Resolver:
    async def resolve(self, tunnel: Tunnel) -> HostChain:
        return (make_host(tunnel.host),)

    async def config_files(self) -> tuple[str, ...]:
        return ()

    def forget(self) -> None:
        pass


@dataclass
class RecordingView:
    refresh_interval: float | None = None
    states: list[str] = field(default_factory=list)

    def on_tunnel(self, tunnel: TunnelSnapshot) -> None:
        if self.states[-1:] != [tunnel.state]:
            self.states.append(tunnel.state)

    def on_record(self, record: LogRecord) -> None:
        pass


@dataclass
class Harness:
    clock: FakeClock
    pool: FakeConnectionPool
    view: RecordingView
    running: asyncio.Task[tuple[Reason, TunnelSnapshot]]

    async def next_attempt(self) -> Attempt:
        await until(lambda: self.pool.pending_attempts)
        return self.pool.pending_attempts[0]

    async def wait_for_state(self, state: str) -> None:
        await until(lambda: self.view.states[-1:] == [state])

    async def reason(self) -> Reason:
        async with within_deadline():
            return (await self.running)[0]


@asynccontextmanager
async def running(
    port: int | None = None, *, for_seconds: float | None = None, timeout: float | None = None
) -> AsyncIterator[Harness]:
    clock, pool, view = FakeClock(), FakeConnectionPool(), RecordingView()
    forward = parse_local(f"{port or free_port()}:db:5432")
    request = ForwardRequest({"host": "relay"}, "relay", for_seconds, timeout)
    program = ForwardProgram(
        request, Tunnel("relay", "relay", (forward,)), view, None, EventLog(clock), clock
    )
    async with within_deadline(), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(program.run(Resolver(), cast("ConnectionPool", pool)))
        yield Harness(clock, pool, view, task)
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)
            assert (await task)[0] == "terminated"
    assert pool.open_connections == []


async def test_it_comes_up_and_reconnects_until_a_signal() -> None:
    async with running() as harness:
        connection = (await harness.next_attempt()).succeed()
        await harness.wait_for_state("up")
        connection.lose(LOST)
        await harness.wait_for_state("backoff")
        await harness.clock.advance(60)
        (await harness.next_attempt()).succeed()
        await harness.wait_for_state("up")

        os.kill(os.getpid(), signal.SIGINT)
        assert await harness.reason() == "interrupted"


async def test_a_refused_login_ends_it_the_first_time() -> None:
    async with running() as harness:
        (await harness.next_attempt()).fail(DENIED)
        assert await harness.reason() == "failed"


async def test_a_refused_login_of_a_tunnel_that_was_up_does_not_end_it() -> None:
    async with running() as harness:
        connection = (await harness.next_attempt()).succeed()
        await harness.wait_for_state("up")
        connection.lose(LOST)
        await harness.clock.advance(60)
        (await harness.next_attempt()).fail(DENIED)
        await harness.wait_for_state("blocked")
        await settle()

        assert not harness.running.done()


async def test_a_port_that_is_taken_ends_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        async with running(other.getsockname()[1]) as harness:
            assert await harness.reason() == "failed"


async def test_a_network_failure_is_tried_again_for_ever() -> None:
    async with running() as harness:
        for _ in range(8):
            (await harness.next_attempt()).fail(REFUSED)
            await harness.wait_for_state("backoff")
            await harness.clock.advance(120)
        (await harness.next_attempt()).succeed()
        await harness.wait_for_state("up")


@pytest.mark.parametrize("is_up", [False, True])
async def test_the_timeout_ends_it_unless_it_is_up(is_up: bool) -> None:
    async with running(timeout=20) as harness:
        attempt = await harness.next_attempt()
        if is_up:
            attempt.succeed()
            await harness.wait_for_state("up")
        await harness.clock.advance(21)

        if is_up:
            assert not harness.running.done()
        else:
            assert await harness.reason() == "timed_out"


async def test_it_ends_when_its_time_has_passed() -> None:
    async with running(for_seconds=7200) as harness:
        (await harness.next_attempt()).succeed()
        await harness.wait_for_state("up")
        await harness.clock.advance(7201)

        assert await harness.reason() == "time_passed"
