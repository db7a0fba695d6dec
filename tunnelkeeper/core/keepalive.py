"""When to probe a silent peer, and when to call it dead: ServerAliveInterval and CountMax.

Counted as OpenSSH counts (clientloop.c, server_alive_check): a probe goes out after `interval`
seconds without a byte from the peer; when the probe number count_max + 1 would be due and still
nothing came, the peer is dead. Any byte counts as life. Nothing here has a clock or sends.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunnelkeeper.core.tunnels import Keepalive


class Verdict(Enum):
    """What to do when the time of a watch has come."""

    WAIT = "wait"
    PROBE = "probe"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Watch:
    """A peer under watch. Times are monotonic seconds; due_at: when to look again.

    unanswered: probes in a row that brought nothing. probed_at: when the last one went out.
    """

    due_at: float
    unanswered: int = 0
    probed_at: float = -inf


def begin(now: float, keepalive: Keepalive) -> Watch:
    """A watch over a peer that was just heard."""
    return Watch(now + keepalive.interval if keepalive.interval else inf)


def look(
    watch: Watch, now: float, last_heard: float, keepalive: Keepalive
) -> tuple[Watch, Verdict]:
    """Judge the peer at `now`; last_heard is when its last byte came."""
    unanswered = 0 if last_heard > watch.probed_at else watch.unanswered
    due_at = max(last_heard, watch.probed_at) + keepalive.interval
    if not keepalive.interval:
        return Watch(inf), Verdict.WAIT
    if now < due_at:
        return Watch(due_at, unanswered, watch.probed_at), Verdict.WAIT
    if unanswered >= keepalive.count_max:
        return Watch(inf, unanswered, watch.probed_at), Verdict.DEAD
    return Watch(now + keepalive.interval, unanswered + 1, now), Verdict.PROBE
