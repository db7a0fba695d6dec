"""The retry policy: how long to wait after a failure, and when to give up.

It does not decide which state follows; `lifecycle` does.
"""

from __future__ import annotations

from math import inf

from msgspec import Struct, field

from tunnelkeeper.core.configuration import Backoff, Tunnel
from tunnelkeeper.core.failures import NO_HANDSHAKE_CAUSES, Cause, Failure

BLOCKED_DELAY = 300.0
"""Seconds between the attempts of a blocked tunnel. Often enough to notice a key that an
administrator restored, and rare enough not to trigger the server's PerSourcePenalties."""

BLOCKED_MAX_DELAY_AFTER_NETWORK_CHANGE = 30.0
"""The longest delay of a blocked tunnel after a network change, in seconds. In another network the
same address may be a different server. There is a delay so that an unstable network does not cause
frequent logins."""

NO_HANDSHAKE_MAX_DELAY = 5.0
"""The longest delay after an attempt that cost the server no handshake, in seconds."""


class RetryPolicy(Struct, frozen=True):
    """The retry settings of a tunnel. Durations are seconds; 0 disables them.

    seed: drawn once per tunnel and supervisor, so that many tunnels do not retry at once.
    retries: if false, a failure leaves the tunnel blocked until Start or Restart. retries_blocked:
    the same for a failure that a user must resolve.
    """

    backoff: Backoff = field(default_factory=Backoff)
    gate_time: float = 30.0
    max_attempts: int = 0
    max_lifetime: float = 0.0
    drain_timeout: float = 300.0
    seed: str = ""
    retries: bool = True
    retries_blocked: bool = True

    @classmethod
    def from_tunnel(cls, tunnel: Tunnel, seed: str) -> RetryPolicy:
        """Return the policy in a tunnel's configuration."""
        return cls(
            backoff=tunnel.backoff,
            gate_time=tunnel.gate_time,
            max_attempts=tunnel.max_attempts,
            max_lifetime=tunnel.max_lifetime,
            drain_timeout=tunnel.drain_timeout,
            seed=seed,
        )


class FailedAttempts(Struct, frozen=True):
    """Consecutive failed attempts. with_handshake: those that cost the server a handshake.

    They are counted separately so that an hour of refused connections does not lengthen the delay
    after the one connection that a starting server drops.
    """

    failed: int = 0
    with_handshake: int = 0

    def plus(self, failure: Failure) -> FailedAttempts:
        """Return the counts with one more failure."""
        free = failure.cause in NO_HANDSHAKE_CAUSES
        return FailedAttempts(self.failed + 1, self.with_handshake + (not free))


class Retry(Struct, frozen=True):
    """The next attempt after a failure: at `at` (monotonic seconds), or never (inf).

    failure: the failure to show. After the last attempt it is TOO_MANY_ATTEMPTS.
    """

    attempts: FailedAttempts
    at: float
    failure: Failure


def retry_after_attempt(
    failure: Failure, attempts: FailedAttempts, now: float, policy: RetryPolicy
) -> Retry:
    """Return the next retry after a failed attempt. attempts: those that failed before it.

    An attempt that waits for a person's answer is not counted.
    """
    if failure.question:
        return _retry_without_answer(failure, attempts, now, policy)
    attempts = attempts.plus(failure)
    if policy.max_attempts and attempts.failed >= policy.max_attempts:
        return Retry(attempts, inf, _gave_up_failure(failure, attempts))
    return retry_after_loss(failure, attempts, now, policy)


def retry_after_loss(
    failure: Failure, attempts: FailedAttempts, now: float, policy: RetryPolicy
) -> Retry:
    """Return the next retry for a failure that is already counted, or is no failed attempt."""
    if failure.question:
        return _retry_without_answer(failure, attempts, now, policy)
    if not policy.retries or (failure.needs_user and not policy.retries_blocked):
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


def _retry_without_answer(
    failure: Failure, attempts: FailedAttempts, now: float, policy: RetryPolicy
) -> Retry:
    """Return the next retry of a tunnel that waits for an answer."""
    retries = failure.source_failed and policy.retries and policy.retries_blocked
    return Retry(attempts, now + BLOCKED_DELAY if retries else inf, failure)


def _gave_up_failure(failure: Failure, attempts: FailedAttempts) -> Failure:
    return Failure(
        Cause.TOO_MANY_ATTEMPTS,
        f"gave up after {attempts.failed} attempts (max_attempts); the last one: {failure}",
        hop=failure.hop,
        hint=failure.hint or "start or restart the tunnel to try again",
    )
