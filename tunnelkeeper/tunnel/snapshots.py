"""Snapshots of a runner, for front ends: states in their names and times in people's time."""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING

from tunnelkeeper.clock import iso
from tunnelkeeper.control.payloads import ForwardCounters, TunnelCounters
from tunnelkeeper.core.snapshot import (
    HopSnapshot,
    ProgressSnapshot,
    ReplacementSnapshot,
    TunnelSnapshot,
)
from tunnelkeeper.core.states import (
    BackingOff,
    Blocked,
    Closing,
    Connecting,
    Degraded,
    Draining,
    ReplacementBackoff,
    ReplacementConnecting,
    State,
    Up,
    deadline,
    is_wanted,
    replacement_of,
    state_name,
)

if TYPE_CHECKING:
    from tunnelkeeper.clock import Clock
    from tunnelkeeper.tunnel.forward import RunningForward
    from tunnelkeeper.tunnel.runner import Runner


def tunnel_snapshot(runner: Runner, clock: Clock) -> TunnelSnapshot:
    """A runner as front ends see it."""
    forwards = [forward.snapshot() for forward in runner.forwards]
    session = runner.session
    chain = session.chain if session else None
    hops = chain.hops if chain else []
    # A connected hop names the port that was reached, of several.
    way = [str(hop.host) for hop in hops] or [str(host) for host in runner.way]
    rtts = [hop.rtt_ms for hop in hops]
    return TunnelSnapshot(
        name=runner.tunnel.name,
        state=state_name(runner.state),
        wanted=is_wanted(runner.state),
        since=iso(runner.changed_at),
        host=way[-1] if way else runner.tunnel.host,
        jump=way[:-1] if way else list(runner.tunnel.options.jump or ()),
        groups=list(runner.tunnel.groups),
        attempt=_attempt(runner.state),
        retry_at=_retry_at(runner.state, clock),
        restarts=runner.restarts,
        rtt_ms=rtts[-1] if rtts else None,
        cipher=chain.connection.cipher if chain else None,
        bytes_in=sum(f.bytes_in for f in forwards),
        bytes_out=sum(f.bytes_out for f in forwards),
        connections=sum(f.connections for f in forwards),
        connections_total=sum(f.connections_total for f in forwards),
        failure=runner.last_failure.snapshot() if runner.last_failure else None,
        forwards=forwards,
        progress=_progress(runner),
        hops=[
            HopSnapshot(
                name,
                connected=index < len(hops) and not hops[index].is_closed,
                rtt_ms=rtts[index] if index < len(rtts) else None,
            )
            for index, name in enumerate(way)
        ],
        replacement=_replacement(runner, clock),
    )


def _progress(runner: Runner) -> ProgressSnapshot | None:
    if isinstance(runner.state, Connecting) and runner.session is not None:
        return runner.session.report.progress
    return None


def counters_of(runner: Runner) -> TunnelCounters:
    """What changes of a runner without a word: a small part of `of`, for many runners often."""
    session = runner.session
    hops = session.chain.hops if session and session.chain else []
    return TunnelCounters(
        runner.tunnel.name,
        [hop.rtt_ms for hop in hops] or [None for _ in runner.way],
        [_forward_counters(forward) for forward in runner.forwards],
    )


def _forward_counters(forward: RunningForward) -> ForwardCounters:
    c = forward.counters
    check = forward.check.snapshot() if forward.check else None
    return ForwardCounters(c.bytes_in, c.bytes_out, c.connections, c.connections_total, check)


def _replacement(runner: Runner, clock: Clock) -> ReplacementSnapshot | None:
    session = runner.second
    match replacement_of(runner.state):
        case ReplacementConnecting(attempts=tries):
            progress = session.report.progress if session else None
            return ReplacementSnapshot("connecting", tries.failed + 1, progress)
        case ReplacementBackoff(attempts=tries, retry_at=at):
            failure = runner.setback.snapshot() if runner.setback else None
            return ReplacementSnapshot(
                "backoff", tries.failed, retry_at=_iso_of(at, clock), failure=failure
            )
        case (Draining() | Closing()) as leaving:
            at = leaving.closes_at if isinstance(leaving, Draining) else inf
            left = session.chain.connection.channel_count if session and session.chain else 0
            return ReplacementSnapshot("draining", connections=left, closes_at=_iso_of(at, clock))
    return None


def _attempt(state: State) -> int:
    match state:
        case Connecting(attempts=tries):
            return tries.failed + 1
        case BackingOff(attempts=tries) | Blocked(attempts=tries):
            return tries.failed
        case Up(connection=life) | Degraded(connection=life):
            return life.attempts.failed
    return 0


def _retry_at(state: State, clock: Clock) -> str | None:
    when = deadline(state) if isinstance(state, BackingOff | Blocked) else None
    return _iso_of(inf if when is None else when, clock)


def _iso_of(moment: float, clock: Clock) -> str | None:
    """A moment of the monotonic clock as people write it; inf: None."""
    if moment == inf:
        return None
    return iso(clock.wall() + timedelta(seconds=moment - clock.monotonic()))
