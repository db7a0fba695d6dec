"""When to try again: how long to wait after a failure, and when to give up.

Pure, as the lifecycle is that asks it; which state follows is decided there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from tunnelkeeper.core.configuration import Backoff, Tunnel
from tunnelkeeper.core.failures import NO_HANDSHAKE_CAUSES, Cause, Failure

BLOCKED_DELAY = 300.0
"""Seconds between the tries of a blocked tunnel: often enough to notice a key that an
administrator put back, seldom enough not to trip the server's PerSourcePenalties."""

BLOCKED_MAX_DELAY_AFTER_NETWORK_CHANGE = 30.0
"""Longest wait of a blocked tunnel, in seconds, once the machine moved: the same address may be
another server there. Not at once: a network that comes and goes must not hammer a login."""

NO_HANDSHAKE_MAX_DELAY = 5.0
"""Longest wait, in seconds, after an attempt that asked nothing of the server."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
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
    def from_tunnel(cls, tunnel: Tunnel, seed: str) -> RetryPolicy:
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
class FailedAttempts:
    """Failed attempts in a row. costly: those of them that cost the server a handshake.

    They are counted apart so that an hour of refusals does not lengthen the wait after the one
    connection that a server drops while it starts.
    """

    failed: int = 0
    with_handshake: int = 0

    def plus(self, failure: Failure) -> FailedAttempts:
        """With one more failure."""
        free = failure.cause in NO_HANDSHAKE_CAUSES
        return FailedAttempts(self.failed + 1, self.with_handshake + (not free))


@dataclass(frozen=True, slots=True)
class Retry:
    """What follows a failure: another try at `at` (monotonic seconds), or never (inf).

    failure: the one to show, which is another one when it was the last straw.
    """

    attempts: FailedAttempts
    at: float
    failure: Failure


def retry_after_attempt(
    failure: Failure, attempts: FailedAttempts, now: float, policy: RetryPolicy
) -> Retry:
    """When to try again after a failed attempt; tries: those that failed before it."""
    attempts = attempts.plus(failure)
    if policy.max_attempts and attempts.failed >= policy.max_attempts:
        return Retry(attempts, inf, _gave_up_failure(failure, attempts))
    return retry_after_loss(failure, attempts, now, policy)


def retry_after_loss(
    failure: Failure, attempts: FailedAttempts, now: float, policy: RetryPolicy
) -> Retry:
    """When to try again after a failure that is counted already, or is no failed attempt."""
    if not policy.retries:
        return Retry(attempts, inf, failure)
    if failure.needs_user:
        return Retry(attempts, now + BLOCKED_DELAY, failure)
    if failure.cause in NO_HANDSHAKE_CAUSES:
        wait = policy.backoff.delay(
            max(attempts.failed, 1), policy.seed, cap=NO_HANDSHAKE_MAX_DELAY
        )
    else:
        wait = policy.backoff.delay(max(attempts.with_handshake, 1), policy.seed)
    return Retry(attempts, now + wait, failure)


def _gave_up_failure(failure: Failure, attempts: FailedAttempts) -> Failure:
    return Failure(
        Cause.TOO_MANY_ATTEMPTS,
        f"gave up after {attempts.failed} attempts (max_attempts); the last one: {failure}",
        hop=failure.hop,
        hint=failure.hint or "start or restart the tunnel to try again",
    )
