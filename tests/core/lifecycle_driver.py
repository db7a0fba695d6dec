"""A driver for the state machine with a fake clock, and a state and event of every kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from tunnelkeeper.core.configuration import Backoff
from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.lifecycle import (
    Command,
    ConnectionUnhealthy,
    DeadlineReached,
    Drained,
    Event,
    ForwardsChanged,
    HostChanged,
    NetworkChanged,
    ReplacementEnded,
    ReplacementReady,
    Restart,
    RestartGracefully,
    RetryNow,
    SessionEnded,
    SessionOpened,
    Start,
    Stop,
    step,
)
from tunnelkeeper.core.retry_policy import FailedAttempts, RetryPolicy
from tunnelkeeper.core.states import (
    BackingOff,
    Blocked,
    Closing,
    Connecting,
    Degraded,
    Draining,
    LiveConnection,
    ReplacementBackoff,
    ReplacementConnecting,
    State,
    Stopped,
    Stopping,
    Up,
    deadline,
)

NOW = 1000.0
GATE_TIME = 30.0
STEADY = RetryPolicy(Backoff(initial=1, factor=2, max=60, jitter=0), gate_time=GATE_TIME, seed="db")
"""A policy without jitter, so that delays are round numbers: 1, 2, 4 ... 60 seconds."""

REFUSED = Failure(Cause.REFUSED, "Connection refused", hop="me@relay:22")
LOST = Failure(Cause.LOST, "Connection reset by peer", hop="me@relay:22")
DENIED = Failure(Cause.AUTH, "Permission denied (publickey)", hop="me@relay:22", files=("/id",))
PORT_BUSY = Failure(Cause.REMOTE_PORT_BUSY, "2222 is taken", hop="me@relay:22")


@dataclass
class LifecycleDriver:
    """A runner without I/O: the state, a fake clock, and the commands so far."""

    policy: RetryPolicy = STEADY
    state: State = field(default_factory=Stopped)
    now: float = NOW
    commands: list[Command] = field(default_factory=list)

    def feed(self, *events: Event) -> State:
        for event in events:
            self.state, command = step(self.state, event, self.now, self.policy)
            self.commands += [command] if command else []
        return self.state

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def at_deadline(self) -> State:
        at = deadline(self.state)
        assert at is not None, f"{self.state} has no deadline"
        self.now = max(self.now, at)
        return self.feed(DeadlineReached())

    def waits(self) -> float | None:
        """Return the seconds to the next deadline."""
        at = deadline(self.state)
        return None if at is None else at - self.now

    def fail(self, failure: Failure, times: int) -> list[float | None]:
        """Start, fail a number of times, and return the delays. End in a new attempt."""
        self.feed(Start())
        waits = []
        for _ in range(times):
            self.feed(SessionEnded(failure))
            waits.append(self.waits())
            self.at_deadline()
        return waits


PRIOR_ATTEMPTS = FailedAttempts(failed=3, with_handshake=2)
LATER = NOW + 10
UNSTABLE = LiveConnection(NOW - 5, PRIOR_ATTEMPTS, stable_at=LATER, expires_at=inf)
GATE_PASSED = LiveConnection(NOW - GATE_TIME, PRIOR_ATTEMPTS, stable_at=NOW, expires_at=inf)
STABLE = LiveConnection(NOW - 99, FailedAttempts(), stable_at=inf, expires_at=LATER)
EXPIRED = LiveConnection(NOW - 99, FailedAttempts(), stable_at=inf, expires_at=NOW)

STATES: dict[str, State] = {
    "stopped": Stopped(),
    "connecting": Connecting(PRIOR_ATTEMPTS),
    "up, unstable": Up(UNSTABLE),
    "up, gate passed": Up(GATE_PASSED),
    "up, stable": Up(STABLE),
    "up, expired": Up(EXPIRED),
    "up, connecting": Up(EXPIRED, ReplacementConnecting(PRIOR_ATTEMPTS)),
    "up, backoff": Up(EXPIRED, ReplacementBackoff(PRIOR_ATTEMPTS, LATER, LOST)),
    "up, retry due": Up(EXPIRED, ReplacementBackoff(PRIOR_ATTEMPTS, NOW, LOST)),
    "up, gave up": Up(EXPIRED, ReplacementBackoff(PRIOR_ATTEMPTS, inf, LOST)),
    "up, draining": Up(UNSTABLE, Draining(EXPIRED, LATER)),
    "up, drain timeout": Up(UNSTABLE, Draining(EXPIRED, NOW)),
    "up, closing": Up(UNSTABLE, Closing()),
    "degraded, unstable": Degraded(UNSTABLE, PORT_BUSY),
    "degraded, gate passed": Degraded(GATE_PASSED, PORT_BUSY),
    "degraded, stable": Degraded(STABLE, PORT_BUSY),
    "degraded, expired": Degraded(EXPIRED, PORT_BUSY),
    "degraded, connecting": Degraded(EXPIRED, PORT_BUSY, ReplacementConnecting(PRIOR_ATTEMPTS)),
    "degraded, draining": Degraded(UNSTABLE, PORT_BUSY, Draining(EXPIRED, LATER)),
    "backoff": BackingOff(PRIOR_ATTEMPTS, LATER, LOST),
    "backoff, retry due": BackingOff(PRIOR_ATTEMPTS, NOW, LOST),
    "blocked": Blocked(PRIOR_ATTEMPTS, LATER, DENIED),
    "blocked, retry due": Blocked(PRIOR_ATTEMPTS, NOW, DENIED),
    "gave up": Blocked(PRIOR_ATTEMPTS, inf, LOST),
    "stopping": Stopping(),
    "stopping, then start": Stopping(then_start=True),
    "stopping both": Stopping(sessions=2),
    "stopping both, start": Stopping(then_start=True, sessions=2),
}

REQUESTS: dict[str, Event] = {
    "start": Start(),
    "stop": Stop(),
    "restart": Restart(),
    "graceful": RestartGracefully(),
    "host": HostChanged(),
}
"""Requests of users, and changes of the configuration."""

EXTERNAL_EVENTS: dict[str, Event] = {
    "retry": RetryNow(),
    "network": NetworkChanged(),
    "deadline": DeadlineReached(),
}
"""Events of the environment and the clock."""

SESSION_EVENTS: dict[str, Event] = {
    "opened": SessionOpened(),
    "partial": SessionOpened(PORT_BUSY),
    "recover": ForwardsChanged(),
    "fail": ForwardsChanged(PORT_BUSY),
    "unhealthy": ConnectionUnhealthy(),
    "lost": SessionEnded(LOST),
    "denied": SessionEnded(DENIED),
}
"""Events of the session in use."""

REPLACEMENT_EVENTS: dict[str, Event] = {
    "ready": ReplacementReady(),
    "drained": Drained(),
    "ended": ReplacementEnded(LOST),
    "rejected": ReplacementEnded(DENIED),
}
"""Events of the session that is not in use."""
