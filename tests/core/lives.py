"""A tunnel on a clock that the test moves, and a state and an event of every kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.lifecycle import (
    Arrived,
    Command,
    DeadlineReached,
    Drained,
    Ended,
    Event,
    ForwardsChanged,
    Moved,
    Nudged,
    Opened,
    Restart,
    RestartGracefully,
    SecondEnded,
    Start,
    Stop,
    Useless,
    WayChanged,
    step,
)
from tunnelkeeper.core.retries import Policy, Tries
from tunnelkeeper.core.states import (
    BackingOff,
    Blocked,
    Connecting,
    Degraded,
    State,
    Stopped,
    Stopping,
    Up,
    deadline,
)
from tunnelkeeper.core.succession import Arriving, Delayed, Dismissed, Leaving, Life
from tunnelkeeper.core.tunnels import Backoff

NOW = 1000.0
GATE_TIME = 30.0
STEADY = Policy(Backoff(initial=1, factor=2, max=60, jitter=0), gate_time=GATE_TIME, seed="db")
"""Without jitter, so that waits are round numbers: 1, 2, 4 ... 60 seconds."""

REFUSED = Failure(Cause.REFUSED, "Connection refused", hop="me@relay:22")
LOST = Failure(Cause.LOST, "Connection reset by peer", hop="me@relay:22")
DENIED = Failure(Cause.AUTH, "Permission denied (publickey)", hop="me@relay:22", files=("/id",))
PORT_BUSY = Failure(Cause.REMOTE_PORT_BUSY, "2222 is taken", hop="me@relay:22")


@dataclass
class TunnelLife:
    """What the runner is to a tunnel, without the I/O: state, clock and the commands so far."""

    policy: Policy = STEADY
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
        assert at is not None, f"{self.state} waits for no deadline"
        self.now = max(self.now, at)
        return self.feed(DeadlineReached())

    def waits(self) -> float | None:
        """Seconds to the next deadline."""
        at = deadline(self.state)
        return None if at is None else at - self.now

    def fail(self, failure: Failure, times: int) -> list[float | None]:
        """Start, fail in one way again and again, and tell the waits between; it tries again."""
        self.feed(Start())
        waits = []
        for _ in range(times):
            self.feed(Ended(failure))
            waits.append(self.waits())
            self.at_deadline()
        return waits


TRIED = Tries(failed=3, costly=2)
LATER = NOW + 10
YOUNG = Life(NOW - 5, TRIED, trusted_at=LATER, expires_at=inf)
GATE_PASSED = Life(NOW - GATE_TIME, TRIED, trusted_at=NOW, expires_at=inf)
TRUSTED = Life(NOW - 99, Tries(), trusted_at=inf, expires_at=LATER)
EXPIRED = Life(NOW - 99, Tries(), trusted_at=inf, expires_at=NOW)

STATES: dict[str, State] = {
    "stopped": Stopped(),
    "connecting": Connecting(TRIED),
    "up, young": Up(YOUNG),
    "up, gate passed": Up(GATE_PASSED),
    "up, trusted": Up(TRUSTED),
    "up, expired": Up(EXPIRED),
    "up, arriving": Up(EXPIRED, Arriving(TRIED)),
    "up, delayed": Up(EXPIRED, Delayed(TRIED, LATER, LOST)),
    "up, delay over": Up(EXPIRED, Delayed(TRIED, NOW, LOST)),
    "up, not again": Up(EXPIRED, Delayed(TRIED, inf, LOST)),
    "up, leaving": Up(YOUNG, Leaving(EXPIRED, LATER)),
    "up, overdue": Up(YOUNG, Leaving(EXPIRED, NOW)),
    "up, dismissed": Up(YOUNG, Dismissed()),
    "degraded, young": Degraded(YOUNG, PORT_BUSY),
    "degraded, gate passed": Degraded(GATE_PASSED, PORT_BUSY),
    "degraded, trusted": Degraded(TRUSTED, PORT_BUSY),
    "degraded, expired": Degraded(EXPIRED, PORT_BUSY),
    "degraded, arriving": Degraded(EXPIRED, PORT_BUSY, Arriving(TRIED)),
    "degraded, leaving": Degraded(YOUNG, PORT_BUSY, Leaving(EXPIRED, LATER)),
    "waiting": BackingOff(TRIED, LATER, LOST),
    "wait over": BackingOff(TRIED, NOW, LOST),
    "blocked": Blocked(TRIED, LATER, DENIED),
    "blocked, due": Blocked(TRIED, NOW, DENIED),
    "gave up": Blocked(TRIED, inf, LOST),
    "stopping": Stopping(),
    "stopping, then start": Stopping(then_start=True),
    "stopping both": Stopping(sessions=2),
    "stopping both, start": Stopping(then_start=True, sessions=2),
}

ASKED: dict[str, Event] = {
    "start": Start(),
    "stop": Stop(),
    "restart": Restart(),
    "graceful": RestartGracefully(),
    "way": WayChanged(),
}
"""What people say, the config file, and checks."""

HAPPENED: dict[str, Event] = {
    "nudged": Nudged(),
    "moved": Moved(),
    "time": DeadlineReached(),
}
"""What the world and the clock say."""

TOLD: dict[str, Event] = {
    "opened": Opened(),
    "lacking": Opened(PORT_BUSY),
    "healed": ForwardsChanged(),
    "hurt": ForwardsChanged(PORT_BUSY),
    "useless": Useless(),
    "lost": Ended(LOST),
    "denied": Ended(DENIED),
}
"""What the session in use says."""

TOLD_BESIDE: dict[str, Event] = {
    "arrived": Arrived(),
    "drained": Drained(),
    "gone": SecondEnded(LOST),
    "barred": SecondEnded(DENIED),
}
"""What the second session says."""
