"""The keepalive schedule: ServerAliveInterval and ServerAliveCountMax. It does no I/O.

It counts as OpenSSH does (clientloop.c, server_alive_check): a probe is sent after `interval`
seconds without data from the peer. If probe number count_max + 1 is due and no data has arrived,
the peer is dead. Any byte counts as an answer. After a resume or a network change the peer is
probed immediately and must answer soon.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunnelkeeper.core.configuration import Keepalive

PROBE_NOW_TIMEOUT = 5.0
"""Seconds to answer a probe after a resume or a network change. TCP can retransmit a lost probe
four times (RFC 6298: after 0.2, 0.6, 1.4 and 3 s on most systems), which a radio link
needs that has just come up. It is shorter than most users wait before they act themselves."""


class Verdict(Enum):
    """What to do about the peer."""

    WAIT = "wait"
    PROBE = "probe"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class KeepaliveState:
    """The state of one peer. Times are monotonic seconds.

    due_at: when to call on_timer. unanswered: consecutive regular probes without an answer.
    probed_at: when the last probe was sent. dead_at: when the peer is dead unless data arrives,
    regardless of the count; usually inf.
    """

    due_at: float
    unanswered: int = 0
    probed_at: float = -inf
    dead_at: float = inf


def start(now: float, keepalive: Keepalive) -> KeepaliveState:
    """Return the state of a peer whose data just arrived."""
    return KeepaliveState(now + keepalive.interval if keepalive.interval else inf)


def probe_now(
    state: KeepaliveState, now: float, last_received: float, keepalive: Keepalive
) -> tuple[KeepaliveState, Verdict]:
    """Probe the peer at `now`, outside the schedule. WAIT: such a probe is already pending."""
    if state.dead_at < inf and last_received <= state.probed_at:
        return state, Verdict.WAIT
    dead_at = now + PROBE_NOW_TIMEOUT
    due_at = min(dead_at, now + keepalive.interval) if keepalive.interval else dead_at
    unanswered = 0 if last_received > state.probed_at else state.unanswered
    return KeepaliveState(due_at, unanswered, now, dead_at), Verdict.PROBE


def on_timer(
    state: KeepaliveState, now: float, last_received: float, keepalive: Keepalive
) -> tuple[KeepaliveState, Verdict]:
    """Judge the peer at `now`. last_received: when its last byte arrived."""
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
    """Extend the deadline once for a peer that still receives data sent before the probe."""
    if state.dead_at < inf:
        return replace(state, due_at=now + PROBE_NOW_TIMEOUT, dead_at=now + PROBE_NOW_TIMEOUT)
    return replace(state, due_at=now + keepalive.interval)


def tcp_user_timeout(keepalive: Keepalive) -> float:
    """Return the seconds that sent data may stay unacknowledged. 0: no limit."""
    return keepalive.interval * (keepalive.count_max + 1)
