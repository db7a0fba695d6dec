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


def tries_of(state: State) -> FailedAttempts | None:
    match state:
        case Connecting(attempts=tries) | BackingOff(attempts=tries) | Blocked(attempts=tries):
            return tries
        case Up(connection=life) | Degraded(connection=life):
            return life.attempts
    return None


class LifecycleModel(RuleBasedStateMachine):
    """A tunnel that receives any events, next to a simple model of the expected values."""

    def __init__(self) -> None:
        super().__init__()
        self.state: State = Stopped()
        self.policy = RetryPolicy()
        self.now = 1000.0
        self.sessions = 0
        self.seconds = 0
        self.is_wanted = False

    @initialize(policy=POLICIES)
    def configure(self, policy: RetryPolicy) -> None:
        self.policy = policy

    # -- rules --

    @rule(seconds=st.floats(0, 400))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def the_deadline_comes(self) -> None:
        at = deadline(self.state)
        if at is not None:
            self.now = max(self.now, at)
            self.happens(DeadlineReached())

    @rule()
    def a_deadline_strays_in(self) -> None:
        at = deadline(self.state)
        before = self.state
        self.happens(DeadlineReached())
        if at is None or self.now < at:
            assert self.state == before

    @rule(event=st.sampled_from([Start(), Restart(), RestartGracefully(), Stop()]))
    def a_user_requests(self, event: Event) -> None:
        self.is_wanted = not isinstance(event, Stop)
        self.happens(event)

    @rule(
        event=st.sampled_from([RetryNow(), HostChanged(), NetworkChanged(), ConnectionUnhealthy()])
    )
    def the_world_changes(self, event: Event) -> None:
        self.happens(event)

    @precondition(lambda self: self.sessions)
    @rule(failure=st.none() | FAILURES)
    def the_session_opens(self, failure: Failure | None) -> None:
        self.happens(SessionOpened(failure))

    @rule(failure=st.none() | FAILURES)
    def forwards_change(self, failure: Failure | None) -> None:
        self.happens(ForwardsChanged(failure))

    @precondition(lambda self: self.sessions)
    @rule(failure=FAILURES)
    def the_session_ends(self, failure: Failure) -> None:
        self.sessions -= 1
        self.happens(SessionEnded(failure))
        self.the_wait_suits(failure)

    @precondition(lambda self: self.seconds)
    @rule()
    def the_second_session_arrives(self) -> None:
        self.happens(ReplacementReady())

    @precondition(lambda self: self.seconds)
    @rule()
    def the_second_session_is_drained(self) -> None:
        self.happens(Drained())

    @precondition(lambda self: self.seconds)
    @rule(failure=FAILURES)
    def the_second_session_ends(self, failure: Failure) -> None:
        self.seconds -= 1
        self.happens(ReplacementEnded(failure))

    def happens(self, event: Event) -> None:
        before = self.state
        self.state, command = step(before, event, self.now, self.policy)
        self.what_is_known_is_kept(before, event)
        match command:
            case Command.OPEN_SESSION:
                assert (self.sessions, self.seconds) == (0, 0)
                self.sessions = 1
            case Command.OPEN_REPLACEMENT:
                assert (self.sessions, self.seconds) == (1, 0)
                self.seconds = 1
            case Command.SWITCH_SESSIONS:
                assert self.seconds == 1, "there is one that takes over"
                self.sessions, self.seconds = 1, self.sessions
            case Command.CLOSE_REPLACEMENT:
                assert self.seconds == 1
            case Command.CLOSE_ALL:
                assert self.sessions == 1

    # -- invariants --

    @invariant()
    def there_are_two_sessions_at_most_and_the_state_knows(self) -> None:
        assert self.sessions + self.seconds == session_count(self.state) <= 2
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
        tries, limit = tries_of(self.state), self.policy.max_attempts
        if tries and limit and not isinstance(self.state, Blocked):
            assert tries.failed < limit

    def what_is_known_is_kept(self, before: State, event: Event) -> None:
        """Failed attempts are reset by a request, a host change, or the gate time."""
        then, now = tries_of(before), tries_of(self.state)
        if then and now and now.failed < then.failed:
            by_word = isinstance(event, Start | Restart | RestartGracefully | HostChanged)
            came_back = isinstance(replacement_of(before), Draining) and isinstance(
                event, SessionEnded
            )
            is_trusted = self.now >= opened_at(before) + self.policy.gate_time
            assert by_word or came_back or is_trusted

    def the_wait_suits(self, failure: Failure) -> None:
        match self.state:
            case Blocked(retry_at=at):
                gave_up = bool(self.policy.max_attempts) and at == inf
                assert gave_up or (failure.needs_user and at == self.now + BLOCKED_DELAY)
            case BackingOff(retry_at=at):
                free = failure.cause in NO_HANDSHAKE_CAUSES
                longest = self.policy.backoff.max
                assert not failure.needs_user
                assert (
                    self.now
                    < at
                    <= self.now + (min(longest, NO_HANDSHAKE_MAX_DELAY) if free else longest)
                )


LifecycleModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_the_invariants_hold_for_any_sequence_of_events = LifecycleModel.TestCase
