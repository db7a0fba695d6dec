"""When to probe a silent peer, and when to call it dead: ServerAliveInterval and CountMax.

Counted as OpenSSH counts (clientloop.c, server_alive_check): a probe goes out after `interval`
seconds without a byte from the peer; when the probe number count_max + 1 would be due and still
nothing came, the peer is dead. Any byte counts as life. After a wake or a change of network the
peer is asked at once and has to answer soon. Nothing here has a clock or sends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunnelkeeper.core.configuration import Keepalive

PROBE_NOW_TIMEOUT = 5.0
"""Seconds to answer in after a wake or a change of network: time for TCP to send a lost probe again
four times (RFC 6298: after 0.2, 0.6, 1.4 and 3 s on most systems), as radio links need that have
just come up; and short beside what a person waits before doing something about it."""


class Verdict(Enum):
    """What to do when the time of a watch has come."""

    WAIT = "wait"
    PROBE = "probe"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class KeepaliveState:
    """A peer under watch. Times are monotonic seconds; due_at: when to look again.

    unanswered: regular probes in a row that brought nothing. probed_at: when the last probe went
    out. dead_at: when the peer is dead if nothing comes before, whatever was counted; inf mostly.
    """

    due_at: float
    unanswered: int = 0
    probed_at: float = -inf
    dead_at: float = inf


def start(now: float, keepalive: Keepalive) -> KeepaliveState:
    """A watch over a peer that was just heard."""
    return KeepaliveState(now + keepalive.interval if keepalive.interval else inf)


def probe_now(
    state: KeepaliveState, now: float, last_received: float, keepalive: Keepalive
) -> tuple[KeepaliveState, Verdict]:
    """Ask the peer at `now`, out of turn; WAIT: it is being asked already, with as little time."""
    if state.dead_at < inf and last_received <= state.probed_at:
        return state, Verdict.WAIT
    dead_at = now + PROBE_NOW_TIMEOUT
    due_at = min(dead_at, now + keepalive.interval) if keepalive.interval else dead_at
    unanswered = 0 if last_received > state.probed_at else state.unanswered
    return KeepaliveState(due_at, unanswered, now, dead_at), Verdict.PROBE


def on_timer(
    state: KeepaliveState, now: float, last_received: float, keepalive: Keepalive
) -> tuple[KeepaliveState, Verdict]:
    """Judge the peer at `now`; last_heard is when its last byte came."""
    if last_received > state.probed_at:
        state = replace(state, unanswered=0, dead_at=inf)
    if now >= state.dead_at:
        return replace(state, due_at=inf), Verdict.DEAD
    if not keepalive.interval:
        return replace(state, due_at=state.dead_at), Verdict.WAIT
    due_at = max(last_received, state.probed_at) + keepalive.interval
    if now < due_at:
        return replace(state, due_at=min(due_at, state.dead_at)), Verdict.WAIT
    if state.unanswered >= keepalive.count_max:
        return replace(state, due_at=inf), Verdict.DEAD
    due_at = min(now + keepalive.interval, state.dead_at)
    return KeepaliveState(due_at, state.unanswered + 1, now, state.dead_at), Verdict.PROBE


def extend(state: KeepaliveState, now: float, keepalive: Keepalive) -> KeepaliveState:
    """As much time again for a peer that is still busy with what was sent before the probe."""
    if state.dead_at < inf:
        return replace(state, due_at=now + PROBE_NOW_TIMEOUT, dead_at=now + PROBE_NOW_TIMEOUT)
    return replace(state, due_at=now + keepalive.interval)


def tcp_user_timeout(keepalive: Keepalive) -> float:
    """Seconds that sent data may stay unacknowledged: as long as a silent peer has. 0: no limit."""
    return keepalive.interval * (keepalive.count_max + 1)
