"""Random sequences of requests to a tunnel and of outcomes of its sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.e2e.ports import free_port
from tests.fake_clock import SETTLE_TURNS, settle
from tests.tunnel.fake_ssh import DENIED, LOST, REFUSED
from tests.tunnel.harness import is_bound, make_tunnel, runner_harness
from tunnelkeeper.core.forward_spec import LocalForward, RemoteForward, TcpAddress
from tunnelkeeper.core.lifecycle import (
    ConnectionUnhealthy,
    HostChanged,
    Restart,
    RestartGracefully,
    RetryNow,
    Start,
    Stop,
)
from tunnelkeeper.core.states import (
    Up,
    is_wanted,
    session_count,
)
from tunnelkeeper.tunnel.runner import Reconfigure

if TYPE_CHECKING:
    from tests.tunnel.harness import RunnerHarness
    from tunnelkeeper.core.failures import Failure
    from tunnelkeeper.core.lifecycle import Event
    from tunnelkeeper.tunnel.runner import Runner

PORT = free_port()
SSH_PORT = TcpAddress("localhost", 2222)
TUNNELS = [
    make_tunnel(local=[f"{PORT}:db:5432"], remote=["2222:localhost:22"]),
    make_tunnel(remote=["2222:localhost:22", "2223:localhost:22"], exit_on_forward_failure=True),
    make_tunnel(local=[f"{PORT}:db:5432"], max_lifetime=20, gate_time=5),
    make_tunnel(max_attempts=2),
    make_tunnel(local=[f"{PORT}:db:5432"], remote=["2222:localhost:22"], drain_timeout=5),
]

Action = Callable[["RunnerHarness", "Runner"], Coroutine[None, None, None]]


def named(action: Action, name: str) -> Action:
    """Give an action the name that is shown when a script fails."""
    action.__name__ = name
    return action


def send(event: Event | Reconfigure) -> Action:
    async def act(_: RunnerHarness, runner: Runner) -> None:
        runner.send(event)

    return named(act, f"send {event}")


async def succeed_attempts(harness: RunnerHarness, _: Runner) -> None:
    for attempt in harness.pool.pending_attempts:
        attempt.succeed()


def fail_attempts(failure: Failure) -> Action:
    async def act(harness: RunnerHarness, _: Runner) -> None:
        for attempt in harness.pool.pending_attempts:
            attempt.fail(failure)

    return named(act, f"fail {failure}")


async def lose_connections(harness: RunnerHarness, _: Runner) -> None:
    for connection in list(harness.pool.open_connections):
        connection.lose(LOST)


async def toggle_remote_port(harness: RunnerHarness, _: Runner) -> None:
    harness.pool.ports_in_use ^= {SSH_PORT}


def gates(harness: RunnerHarness) -> tuple[asyncio.Event, ...]:
    """Return the events that make the fake SSH side wait while they are cleared."""
    pool = harness.pool
    return pool.may_listen, pool.may_close, pool.may_answer, harness.host_resolver.may_resolve


async def toggle_gates(harness: RunnerHarness, _: Runner) -> None:
    for event in gates(harness):
        if event.is_set():
            event.clear()
        else:
            event.set()


def advance(seconds: float) -> Action:
    async def act(harness: RunnerHarness, _: Runner) -> None:
        await harness.clock.advance(seconds)

    return named(act, f"advance {seconds}")


ANY_TIME: tuple[Event, ...] = (
    *(Start(), Start(), Stop(), Restart(), Restart(), HostChanged(), RetryNow()),
    *([RestartGracefully()] * 4),
    ConnectionUnhealthy(),
)
ACTIONS = [
    *([succeed_attempts] * 6),
    *(fail_attempts(failure) for failure in (REFUSED, LOST, DENIED)),
    *([lose_connections] * 2),
    *(send(event) for event in ANY_TIME),
    *(send(Reconfigure(tunnel)) for tunnel in TUNNELS),
    *(advance(seconds) for seconds in (0.5, 2, 2, 10, 400)),
    toggle_remote_port,
    toggle_gates,
]
ITERATIONS_BETWEEN = [SETTLE_TURNS, SETTLE_TURNS, SETTLE_TURNS, 0, 1, 2, 3, 5]
"""Event loop iterations between actions: mostly enough to settle, else a few to interleave."""

scripts = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.sampled_from(ITERATIONS_BETWEEN)), max_size=30
)


async def run_script(script: list[tuple[Action, int]]) -> None:
    async with runner_harness() as harness:
        runner = harness.runner(TUNNELS[0])
        runner.send(Start())
        await settle()
        for act, turns in script:
            await act(harness, runner)
            await settle(turns)
            sessions = len(harness.pool.pending_attempts) + len(harness.pool.open_connections)
            assert sessions <= session_count(runner.state) <= 2, "too many sessions"

        for event in gates(harness):
            event.set()
        await settle()
        forwards = runner.tunnel.forwards
        has_local = any(isinstance(forward, LocalForward) for forward in forwards)
        assert is_bound(PORT) == (has_local and is_wanted(runner.state))
        remote = {forward.listen for forward in forwards if isinstance(forward, RemoteForward)}
        assert set(harness.pool.listening) <= remote
        if isinstance(runner.state, Up):
            assert set(harness.pool.listening) == remote

        runner.send(Stop())
        await runner.until_stopped()
        assert not is_bound(PORT)
        await settle()
        assert (
            harness.pool.pending_attempts,
            harness.pool.open_connections,
            harness.clock.timers,
        ) == ([], [], [])


@settings(max_examples=120, deadline=None)
@given(scripts)
def test_the_state_bounds_the_sessions_and_a_stop_leaves_nothing_behind(
    script: list[tuple[Action, int]],
) -> None:
    asyncio.run(run_script(script))
