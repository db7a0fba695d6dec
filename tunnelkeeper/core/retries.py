"""When to try again: how long to wait after a failure, and when to give up.

Pure, as the lifecycle is that asks it; which state follows is decided there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from tunnelkeeper.core.failures import ASKED_NOTHING_OF_THE_SERVER, Cause, Failure
from tunnelkeeper.core.tunnels import Backoff, Tunnel

BLOCKED_RETRY = 300.0
"""Seconds between the tries of a blocked tunnel: often enough to notice a key that an
administrator put back, seldom enough not to trip the server's PerSourcePenalties."""

BLOCKED_RETRY_AFTER_MOVE = 30.0
"""Longest wait of a blocked tunnel, in seconds, once the machine moved: the same address may be
another server there. Not at once: a network that comes and goes must not hammer a login."""

FREE_RETRY_CAP = 5.0
"""Longest wait, in seconds, after an attempt that asked nothing of the server."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When to try again and when to stop trying. Durations are seconds, 0: none.

    seed: drawn once per tunnel and supervisor; it spreads the waits of many tunnels. retries: if
    not, a failure leaves it blocked until Start or Restart, as whoever wants it up sees fit.
    """

    backoff: Backoff = field(default_factory=Backoff)
    gate_time: float = 30.0
    max_attempts: int = 0
    max_lifetime: float = 0.0
    drain_timeout: float = 300.0
    seed: str = ""
    retries: bool = True

    @classmethod
    def of(cls, tunnel: Tunnel, seed: str) -> Policy:
        """What a tunnel's configuration says."""
        return cls(
            backoff=tunnel.backoff,
            gate_time=tunnel.gate_time,
            max_attempts=tunnel.max_attempts,
            max_lifetime=tunnel.max_lifetime,
            drain_timeout=tunnel.drain_timeout,
            seed=seed,
        )


@dataclass(frozen=True, slots=True)
class Tries:
    """Failed attempts in a row. costly: those of them that cost the server a handshake.

    They are counted apart so that an hour of refusals does not lengthen the wait after the one
    connection that a server drops while it starts.
    """

    failed: int = 0
    costly: int = 0

    def and_then(self, failure: Failure) -> Tries:
        """With one more failure."""
        free = failure.cause in ASKED_NOTHING_OF_THE_SERVER
        return Tries(self.failed + 1, self.costly + (not free))


@dataclass(frozen=True, slots=True)
class Retry:
    """What follows a failure: another try at `at` (monotonic seconds), or never (inf).

    failure: the one to show, which is another one when it was the last straw.
    """

    tries: Tries
    at: float
    failure: Failure


def after_attempt(failure: Failure, tries: Tries, now: float, policy: Policy) -> Retry:
    """When to try again after a failed attempt; tries: those that failed before it."""
    tries = tries.and_then(failure)
    if policy.max_attempts and tries.failed >= policy.max_attempts:
        return Retry(tries, inf, _gave_up(failure, tries))
    return after_loss(failure, tries, now, policy)


def after_loss(failure: Failure, tries: Tries, now: float, policy: Policy) -> Retry:
    """When to try again after a failure that is counted already, or is no failed attempt."""
    if not policy.retries:
        return Retry(tries, inf, failure)
    if failure.needs_a_person:
        return Retry(tries, now + BLOCKED_RETRY, failure)
    if failure.cause in ASKED_NOTHING_OF_THE_SERVER:
        wait = policy.backoff.delay(max(tries.failed, 1), policy.seed, cap=FREE_RETRY_CAP)
    else:
        wait = policy.backoff.delay(max(tries.costly, 1), policy.seed)
    return Retry(tries, now + wait, failure)


def _gave_up(failure: Failure, tries: Tries) -> Failure:
    return Failure(
        Cause.TOO_MANY_ATTEMPTS,
        f"gave up after {tries.failed} attempts (max_attempts); the last one: {failure}",
        hop=failure.hop,
        hint=failure.hint or "start or restart the tunnel to try again",
    )
