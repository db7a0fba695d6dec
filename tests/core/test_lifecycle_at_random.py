"""Invariants of the state machine under any sequence of events."""

from __future__ import annotations

from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tunnelkeeper.core.configuration import Backoff
from tunnelkeeper.core.failures import NO_HANDSHAKE_CAUSES, Cause, Failure
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
from tunnelkeeper.core.retry_policy import (
    BLOCKED_DELAY,
    NO_HANDSHAKE_MAX_DELAY,
    FailedAttempts,
    RetryPolicy,
)
from tunnelkeeper.core.states import (
    BackingOff,
    Blocked,
    Connecting,
    Degraded,
    Draining,
    State,
    Stopped,
    Up,
    deadline,
    is_wanted,
    opened_at,
    replacement_of,
    session_count,
)

FAILURES = st.sampled_from(Cause).map(lambda cause: Failure(cause, "no"))
POLICIES = st.builds(
    RetryPolicy,
    st.builds(Backoff, initial=st.floats(0.1, 10), factor=st.floats(1, 4), max=st.floats(10, 90)),
    gate_time=st.sampled_from([0.0, 30.0]),
    max_attempts=st.sampled_from([0, 1, 5]),
    max_lifetime=st.sampled_from([0.0, 100.0]),
    drain_timeout=st.sampled_from([0.0, 50.0]),
    seed=st.text(max_size=3),
)


def attempts_of(state: State) -> FailedAttempts | None:
    match state:
        case (
            Connecting(attempts=attempts)
            | BackingOff(attempts=attempts)
            | Blocked(attempts=attempts)
        ):
            return attempts
        case Up(connection=connection) | Degraded(connection=connection):
            return connection.attempts
    return None


class LifecycleModel(RuleBasedStateMachine):
    """A tunnel that receives any events, next to a simple model of the expected values."""

    def __init__(self) -> None:
        super().__init__()
        self.state: State = Stopped()
        self.policy = RetryPolicy()
        self.now = 1000.0
        self.sessions = 0
        self.replacements = 0
        self.is_wanted = False

    @initialize(policy=POLICIES)
    def configure(self, policy: RetryPolicy) -> None:
        self.policy = policy

    # -- rules --

    @rule(seconds=st.floats(0, 400))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def reach_the_deadline(self) -> None:
        at = deadline(self.state)
        if at is not None:
            self.now = max(self.now, at)
            self.feed(DeadlineReached())

    @rule()
    def fire_a_stray_deadline(self) -> None:
        at = deadline(self.state)
        before = self.state
        self.feed(DeadlineReached())
        if at is None or self.now < at:
            assert self.state == before

    @rule(event=st.sampled_from([Start(), Restart(), RestartGracefully(), Stop()]))
    def request(self, event: Event) -> None:
        self.is_wanted = not isinstance(event, Stop)
        self.feed(event)

    @rule(
        event=st.sampled_from([RetryNow(), HostChanged(), NetworkChanged(), ConnectionUnhealthy()])
    )
    def change_the_environment(self, event: Event) -> None:
        self.feed(event)

    @precondition(lambda self: self.sessions)
    @rule(failure=st.none() | FAILURES)
    def open_the_session(self, failure: Failure | None) -> None:
        self.feed(SessionOpened(failure))

    @rule(failure=st.none() | FAILURES)
    def change_forwards(self, failure: Failure | None) -> None:
        self.feed(ForwardsChanged(failure))

    @precondition(lambda self: self.sessions)
    @rule(failure=FAILURES)
    def end_the_session(self, failure: Failure) -> None:
        self.sessions -= 1
        self.feed(SessionEnded(failure))
        self.check_retry_delay(failure)

    @precondition(lambda self: self.replacements)
    @rule()
    def connect_the_replacement(self) -> None:
        self.feed(ReplacementReady())

    @precondition(lambda self: self.replacements)
    @rule()
    def drain_the_previous_session(self) -> None:
        self.feed(Drained())

    @precondition(lambda self: self.replacements)
    @rule(failure=FAILURES)
    def end_the_other_session(self, failure: Failure) -> None:
        self.replacements -= 1
        self.feed(ReplacementEnded(failure))

    def feed(self, event: Event) -> None:
        before = self.state
        self.state, command = step(before, event, self.now, self.policy)
        self.check_failed_attempts(before, event)
        match command:
            case Command.OPEN_SESSION:
                assert (self.sessions, self.replacements) == (0, 0)
                self.sessions = 1
            case Command.OPEN_REPLACEMENT:
                assert (self.sessions, self.replacements) == (1, 0)
                self.replacements = 1
            case Command.SWITCH_SESSIONS:
                assert self.replacements == 1, "there is a replacement that takes over"
                self.sessions, self.replacements = 1, self.sessions
            case Command.CLOSE_REPLACEMENT:
                assert self.replacements == 1
            case Command.CLOSE_ALL:
                assert self.sessions == 1

    # -- invariants --

    @invariant()
    def the_state_counts_at_most_two_sessions(self) -> None:
        assert self.sessions + self.replacements == session_count(self.state) <= 2
        if isinstance(self.state, Up | Degraded):
            assert self.sessions == 1

    @invariant()
    def it_is_wanted_as_last_requested(self) -> None:
        assert is_wanted(self.state) == self.is_wanted

    @invariant()
    def its_deadline_is_finite(self) -> None:
        at = deadline(self.state)
        assert at is None or at < inf

    @invariant()
    def it_never_exceeds_max_attempts(self) -> None:
        attempts, limit = attempts_of(self.state), self.policy.max_attempts
        if attempts and limit and not isinstance(self.state, Blocked):
            assert attempts.failed < limit

    def check_failed_attempts(self, before: State, event: Event) -> None:
        """Assert that only a request, a host change or the gate time resets failed attempts."""
        before_count, now = attempts_of(before), attempts_of(self.state)
        if before_count and now and now.failed < before_count.failed:
            was_requested = isinstance(event, Start | Restart | RestartGracefully | HostChanged)
            has_returned = isinstance(replacement_of(before), Draining) and isinstance(
                event, SessionEnded
            )
            is_trusted = self.now >= opened_at(before) + self.policy.gate_time
            assert was_requested or has_returned or is_trusted

    def check_retry_delay(self, failure: Failure) -> None:
        match self.state:
            case Blocked(retry_at=at):
                gave_up = bool(self.policy.max_attempts) and at == inf
                assert gave_up or (failure.needs_user and at == self.now + BLOCKED_DELAY)
            case BackingOff(retry_at=at):
                without_handshake = failure.cause in NO_HANDSHAKE_CAUSES
                maximum = self.policy.backoff.max
                assert not failure.needs_user
                assert (
                    self.now
                    < at
                    <= self.now
                    + (min(maximum, NO_HANDSHAKE_MAX_DELAY) if without_handshake else maximum)
                )


LifecycleModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_the_invariants_hold_for_any_sequence_of_events = LifecycleModel.TestCase
