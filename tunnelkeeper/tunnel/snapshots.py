"""Snapshots of a runner for front ends, with state names and wall-clock times."""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING, assert_never

from tunnelkeeper.clock import iso
from tunnelkeeper.control.payloads import (
    ForwardCounters,
    QuestionClosedEvent,
    QuestionEvent,
    TunnelCounters,
)
from tunnelkeeper.core.questions import Changed, Closed
from tunnelkeeper.core.snapshot import (
    HopSnapshot,
    HostKeySnapshot,
    ProgressSnapshot,
    PromptSnapshot,
    QuestionSnapshot,
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
from tunnelkeeper.ssh.auth.algorithms import is_post_quantum

if TYPE_CHECKING:
    from tunnelkeeper.clock import Clock
    from tunnelkeeper.core.questions import Change, Question
    from tunnelkeeper.ssh.connection import Connection
    from tunnelkeeper.tunnel.forward import RunningForward
    from tunnelkeeper.tunnel.runner import Runner


def tunnel_snapshot(runner: Runner, clock: Clock) -> TunnelSnapshot:
    """Return the snapshot of a runner for front ends."""
    forwards = [forward.snapshot() for forward in runner.forwards]
    session = runner.session
    connections = session.hop_connections if session else None
    hops = connections.hops if connections else []
    # A connected hop names the port that was actually reached.
    hosts = [str(hop.host) for hop in hops] or [str(host) for host in runner.host_chain]
    rtts = [hop.rtt_ms for hop in hops]
    return TunnelSnapshot(
        name=runner.tunnel.name,
        state=state_name(runner.state),
        wanted=is_wanted(runner.state),
        since=iso(runner.changed_at),
        host=hosts[-1] if hosts else runner.tunnel.host,
        jump=hosts[:-1] if hosts else list(runner.tunnel.options.jump or ()),
        groups=list(runner.tunnel.groups),
        attempt=_attempt(runner.state),
        retry_at=_retry_at(runner.state, clock),
        restarts=runner.restarts,
        rtt_ms=rtts[-1] if rtts else None,
        cipher=connections.connection.cipher if connections else None,
        bytes_in=sum(f.bytes_in for f in forwards),
        bytes_out=sum(f.bytes_out for f in forwards),
        connections=sum(f.connections for f in forwards),
        connections_total=sum(f.connections_total for f in forwards),
        failure=runner.last_failure.snapshot() if runner.last_failure else None,
        forwards=forwards,
        progress=_progress(runner),
        hops=[
            _connected_hop(name, hops[index])
            if index < len(hops)
            else HopSnapshot(name, connected=False)
            for index, name in enumerate(hosts)
        ],
        replacement=_replacement(runner, clock),
        ad_hoc=runner.ad_hoc is not None,
        ends_at=_iso_time(runner.ad_hoc.ends_at, clock) if runner.ad_hoc else None,
    )


def _connected_hop(name: str, connection: Connection) -> HopSnapshot:
    key_exchange = connection.key_exchange
    return HopSnapshot(
        name,
        connected=not connection.is_closed,
        rtt_ms=connection.rtt_ms,
        answers_keepalives=connection.answers_keepalives,
        unused_timeout=connection.unused_timeout,
        key_exchange=key_exchange or None,
        post_quantum=is_post_quantum(key_exchange) if key_exchange else None,
    )


def question_snapshot(question: Question, now: float) -> QuestionSnapshot:
    """Return a question as clients see it. now: monotonic seconds."""
    key = question.host_key
    return QuestionSnapshot(
        id=question.id,
        kind=question.subject.kind.value,
        about=question.subject.about,
        text=question.text,
        prompts=[PromptSnapshot(prompt.text, prompt.echo) for prompt in question.prompts],
        tunnels=list(question.tunnels),
        attempt=question.attempt,
        live=question.is_live,
        seconds_left=None if question.deadline is None else max(0.0, question.deadline - now),
        problem=question.problem,
        claimed=question.claimed,
        host_key=None
        if key is None
        else HostKeySnapshot(
            key.algorithm, key.fingerprint, key.art, list(key.files), list(key.other_names)
        ),
    )


def question_event(change: Change, now: float) -> QuestionEvent | QuestionClosedEvent:
    """Return a change of a question as the event for clients. now: monotonic seconds."""
    match change:
        case Changed(question=question):
            return QuestionEvent(question_snapshot(question, now))
        case Closed(question=question, outcome=outcome):
            return QuestionClosedEvent(question.id, outcome)
        case _:
            assert_never(change)


def _progress(runner: Runner) -> ProgressSnapshot | None:
    if isinstance(runner.state, Connecting) and runner.session is not None:
        return runner.session.progress.current
    return None


def tunnel_counters(runner: Runner) -> TunnelCounters:
    """Return the values of a runner that change without an event.

    It is a cheap part of `tunnel_snapshot`, to be called often for many runners.
    """
    session = runner.session
    hops = session.hop_connections.hops if session and session.hop_connections else []
    return TunnelCounters(
        runner.tunnel.name,
        [hop.rtt_ms for hop in hops] or [None for _ in runner.host_chain],
        [_forward_counters(forward) for forward in runner.forwards],
    )


def _forward_counters(forward: RunningForward) -> ForwardCounters:
    counters = forward.counters
    check = forward.check.snapshot() if forward.check else None
    return ForwardCounters(
        counters.bytes_in,
        counters.bytes_out,
        counters.connections,
        counters.connections_total,
        check,
        forward.client_failure_snapshot(),
    )


def _replacement(runner: Runner, clock: Clock) -> ReplacementSnapshot | None:
    session = runner.replacement
    match replacement_of(runner.state):
        case ReplacementConnecting(attempts=attempts):
            progress = session.progress.current if session else None
            return ReplacementSnapshot("connecting", attempts.failed + 1, progress)
        case ReplacementBackoff(attempts=attempts, retry_at=retry_at):
            failure = runner.replacement_failure.snapshot() if runner.replacement_failure else None
            return ReplacementSnapshot(
                "backoff", attempts.failed, retry_at=_iso_time(retry_at, clock), failure=failure
            )
        case (Draining() | Closing()) as draining:
            closes_at = draining.closes_at if isinstance(draining, Draining) else inf
            connections = session.hop_connections if session else None
            count = connections.connection.channel_count if connections else 0
            return ReplacementSnapshot(
                "draining", connections=count, closes_at=_iso_time(closes_at, clock)
            )
    return None


def _attempt(state: State) -> int:
    match state:
        case Connecting(attempts=attempts):
            return attempts.failed + 1
        case BackingOff(attempts=attempts) | Blocked(attempts=attempts):
            return attempts.failed
        case Up(connection=connection) | Degraded(connection=connection):
            return connection.attempts.failed
    return 0


def _retry_at(state: State, clock: Clock) -> str | None:
    when = deadline(state) if isinstance(state, BackingOff | Blocked) else None
    return _iso_time(inf if when is None else when, clock)


def _iso_time(moment: float, clock: Clock) -> str | None:
    """Return a monotonic time as ISO 8601 wall-clock time, or None for inf."""
    if moment == inf:
        return None
    return iso(clock.wall() + timedelta(seconds=moment - clock.monotonic()))
