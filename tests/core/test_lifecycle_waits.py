"""The retry delays of a tunnel, its count of failed attempts, and when it gives up."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from msgspec import structs

from tests.core.lifecycle_driver import (
    DENIED,
    GATE_TIME,
    LOST,
    NOW,
    PORT_BUSY,
    REFUSED,
    STEADY,
    LifecycleDriver,
)
from tunnelkeeper.core.configuration import Backoff
from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.lifecycle import (
    Command,
    DeadlineReached,
    Event,
    NetworkChanged,
    Restart,
    RetryNow,
    SessionEnded,
    SessionOpened,
    Start,
    Stop,
)
from tunnelkeeper.core.retry_policy import (
    BLOCKED_DELAY,
    BLOCKED_MAX_DELAY_AFTER_NETWORK_CHANGE,
    FailedAttempts,
    RetryPolicy,
)
from tunnelkeeper.core.states import (
    BackingOff,
    Blocked,
    Connecting,
    Degraded,
    LiveConnection,
    Stopped,
    failure_of,
)

OPEN = Command.OPEN_SESSION
NO_HANDSHAKE = [Cause.DNS, Cause.UNREACHABLE, Cause.REFUSED, Cause.LOCAL_RESOURCES]
NEEDS_USER = [
    Cause.KEY_EXCHANGE,
    Cause.HOST_KEY_UNKNOWN,
    Cause.HOST_KEY_CHANGED,
    Cause.AUTH,
    Cause.ANSWER_NEEDED,
    Cause.SSH_CONFIG,
    Cause.FORWARD_DENIED,
]
WITH_HANDSHAKE = [cause for cause in Cause if cause not in NO_HANDSHAKE + NEEDS_USER]


# -- waits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", NO_HANDSHAKE)
def test_a_failure_without_a_handshake_waits_at_most_five_seconds(
    tunnel: LifecycleDriver, cause: Cause
) -> None:
    waits = tunnel.fail(Failure(cause, "no way"), 1000)

    assert waits == [1, 2, 4] + [5] * 997


@pytest.mark.parametrize("cause", WITH_HANDSHAKE)
def test_a_failure_with_a_handshake_waits_up_to_the_maximum(
    tunnel: LifecycleDriver, cause: Cause
) -> None:
    assert tunnel.fail(Failure(cause, "no"), 9) == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize("cause", NEEDS_USER)
def test_a_failure_that_needs_the_user_is_retried_every_five_minutes(
    tunnel: LifecycleDriver, cause: Cause
) -> None:
    assert tunnel.fail(Failure(cause, "no"), 5) == [300] * 5


def test_an_hour_of_refusals_does_not_lengthen_the_wait_after_one_dropped_connection(
    tunnel: LifecycleDriver,
) -> None:
    tunnel.fail(REFUSED, 700)
    tunnel.feed(SessionEnded(LOST))

    assert tunnel.waits() == 1


def test_the_cap_applies_even_if_the_backoff_starts_above_it() -> None:
    tunnel = LifecycleDriver(RetryPolicy(Backoff(initial=20, factor=2, max=90, jitter=0)))

    assert tunnel.fail(REFUSED, 2) == [5, 5]


def test_retry_delays_differ_by_seed() -> None:
    def waits(seed: str) -> list[float | None]:
        return LifecycleDriver(RetryPolicy(seed=seed)).fail(LOST, 7)

    assert waits("db") == waits("db")
    assert waits("db") != waits("web")


def test_an_early_deadline_does_not_end_a_wait(tunnel: LifecycleDriver) -> None:
    waiting = tunnel.feed(Start(), SessionEnded(LOST))
    tunnel.wait(0.9)

    assert tunnel.feed(DeadlineReached()) == waiting


@pytest.mark.parametrize("event", [Start(), Restart(), RetryNow(), NetworkChanged()])
def test_a_request_or_an_external_event_ends_a_wait(tunnel: LifecycleDriver, event: Event) -> None:
    tunnel.feed(Start(), SessionEnded(LOST))

    assert isinstance(tunnel.feed(event), Connecting)
    assert tunnel.commands == [OPEN, OPEN]


def test_a_network_change_shortens_the_wait_of_a_blocked_tunnel_only_once(
    tunnel: LifecycleDriver,
) -> None:
    tunnel.feed(Start(), SessionEnded(DENIED))
    tunnel.wait(100)
    tunnel.feed(NetworkChanged())
    assert tunnel.waits() == BLOCKED_MAX_DELAY_AFTER_NETWORK_CHANGE

    tunnel.wait(20)
    tunnel.feed(NetworkChanged())

    assert tunnel.waits() == BLOCKED_MAX_DELAY_AFTER_NETWORK_CHANGE - 20
    assert tunnel.commands == [OPEN]


def test_a_network_change_never_extends_the_wait_of_a_blocked_tunnel(
    tunnel: LifecycleDriver,
) -> None:
    tunnel.feed(Start(), SessionEnded(DENIED))
    tunnel.wait(BLOCKED_DELAY - 1)
    before = tunnel.state

    assert tunnel.feed(NetworkChanged()) == before


def test_a_request_resets_the_failed_attempts_but_an_external_event_does_not(
    tunnel: LifecycleDriver,
) -> None:
    tunnel.fail(LOST, 4)
    tunnel.feed(SessionEnded(LOST))

    assert tunnel.feed(RetryNow()) == Connecting(FailedAttempts(failed=5, with_handshake=5))
    tunnel.feed(SessionEnded(LOST))
    assert tunnel.feed(Start()) == Connecting(FailedAttempts())


def test_a_stop_ends_a_wait_without_closing_anything(tunnel: LifecycleDriver) -> None:
    assert tunnel.feed(Start(), SessionEnded(LOST), Stop()) == Stopped()
    assert tunnel.commands == [OPEN]


@pytest.mark.parametrize(("source_failed", "delay"), [(False, inf), (True, BLOCKED_DELAY)])
def test_a_tunnel_with_a_question_tries_again_only_if_a_source_of_answers_failed(
    tunnel: LifecycleDriver, source_failed: bool, delay: float
) -> None:
    failure = Failure(Cause.ANSWER_NEEDED, "locked", question="q1", source_failed=source_failed)
    tunnel.feed(Start(), SessionEnded(failure))

    assert isinstance(tunnel.state, Blocked)
    assert tunnel.state.retry_at == NOW + delay


# -- gate time -------------------------------------------------------------------------------------


def test_a_loss_inside_the_gate_time_counts_as_one_more_failed_attempt(
    tunnel: LifecycleDriver,
) -> None:
    tunnel.fail(LOST, 3)
    tunnel.feed(SessionOpened())
    tunnel.wait(GATE_TIME - 1)

    tunnel.feed(DeadlineReached(), SessionEnded(LOST))
    assert tunnel.state == BackingOff(
        FailedAttempts(failed=4, with_handshake=4), tunnel.now + 8, LOST
    )


def test_a_loss_after_the_gate_time_is_no_failed_attempt(tunnel: LifecycleDriver) -> None:
    tunnel.fail(LOST, 3)
    tunnel.feed(SessionOpened())
    tunnel.at_deadline()

    assert tunnel.feed(SessionEnded(LOST)) == BackingOff(FailedAttempts(), tunnel.now + 1, LOST)


def test_a_loss_handled_before_the_due_gate_deadline_is_no_failed_attempt(
    tunnel: LifecycleDriver,
) -> None:
    tunnel.fail(LOST, 3)
    tunnel.feed(SessionOpened())
    tunnel.wait(GATE_TIME)  # a suspended machine handles the loss before its own timer

    assert tunnel.feed(SessionEnded(LOST)) == BackingOff(FailedAttempts(), tunnel.now + 1, LOST)


def test_a_server_that_accepts_and_drops_connections_causes_growing_delays(
    tunnel: LifecycleDriver,
) -> None:
    tunnel.feed(Start())
    waits = []
    for _ in range(7):
        tunnel.feed(SessionOpened(), SessionEnded(LOST))
        waits.append(tunnel.waits())
        tunnel.at_deadline()

    assert waits == [1, 2, 4, 8, 16, 32, 60]


def test_a_degraded_tunnel_also_passes_the_gate_time(tunnel: LifecycleDriver) -> None:
    tunnel.fail(LOST, 3)
    tunnel.feed(SessionOpened(PORT_BUSY))

    assert tunnel.at_deadline() == Degraded(
        LiveConnection(NOW + 7, FailedAttempts(), inf, inf), PORT_BUSY
    )


def test_a_stable_tunnel_has_no_deadline(tunnel: LifecycleDriver) -> None:
    tunnel.feed(Start(), SessionOpened())
    tunnel.at_deadline()

    assert tunnel.waits() is None


# -- giving up -------------------------------------------------------------------------------------


@pytest.fixture
def gave_up() -> LifecycleDriver:
    tunnel = LifecycleDriver(structs.replace(STEADY, max_attempts=3))
    tunnel.fail(LOST, 2)
    tunnel.feed(SessionEnded(LOST))
    return tunnel


def test_after_max_attempts_a_tunnel_is_blocked_without_a_deadline(
    gave_up: LifecycleDriver,
) -> None:
    failure = failure_of(gave_up.state)

    assert isinstance(gave_up.state, Blocked)
    assert failure is not None
    assert failure.cause is Cause.TOO_MANY_ATTEMPTS
    assert failure.hop == LOST.hop
    assert "gave up after 3 attempts (max_attempts)" in failure.message
    assert str(LOST) in failure.message
    assert failure.hint == "start or restart the tunnel to try again"
    assert gave_up.waits() is None
    assert gave_up.commands == [OPEN, OPEN, OPEN]


def test_the_hint_of_the_last_attempt_is_kept() -> None:
    tunnel = LifecycleDriver(structs.replace(STEADY, max_attempts=1))
    tunnel.feed(Start(), SessionEnded(replace(REFUSED, hint="is sshd running?")))

    failure = failure_of(tunnel.state)
    assert failure is not None
    assert failure.hint == "is sshd running?"


def test_external_events_and_stray_deadlines_do_not_affect_a_tunnel_that_gave_up(
    gave_up: LifecycleDriver,
) -> None:
    before = gave_up.state
    gave_up.wait(86400)

    assert gave_up.feed(RetryNow()) == before
    assert gave_up.feed(NetworkChanged()) == before
    assert gave_up.feed(DeadlineReached()) == before


@pytest.mark.parametrize("event", [Start(), Restart()])
def test_a_request_allows_max_attempts_again(gave_up: LifecycleDriver, event: Event) -> None:
    assert gave_up.feed(event) == Connecting(FailedAttempts())
    assert isinstance(gave_up.feed(SessionEnded(LOST)), BackingOff)


def test_a_tunnel_that_gave_up_can_be_stopped(gave_up: LifecycleDriver) -> None:
    assert gave_up.feed(Stop()) == Stopped()


def test_failures_that_need_the_user_count_as_attempts() -> None:
    tunnel = LifecycleDriver(structs.replace(STEADY, max_attempts=2))
    tunnel.fail(DENIED, 1)

    assert isinstance(tunnel.feed(SessionEnded(DENIED)), Blocked)
    assert tunnel.waits() is None


# -- without retries -------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [LOST, REFUSED, DENIED])
def test_a_tunnel_without_retries_waits_for_a_request(failure: Failure) -> None:
    tunnel = LifecycleDriver(structs.replace(STEADY, retries=False))
    tunnel.feed(Start(), SessionEnded(failure))

    assert tunnel.state == Blocked(FailedAttempts().plus(failure), inf, failure)
    assert isinstance(tunnel.feed(RetryNow()), Blocked)
    assert isinstance(tunnel.feed(Start()), Connecting)


@pytest.mark.parametrize(("failure", "waits_for_request"), [(REFUSED, False), (DENIED, True)])
def test_retries_can_be_off_for_failures_of_the_user_only(
    failure: Failure, waits_for_request: bool
) -> None:
    tunnel = LifecycleDriver(structs.replace(STEADY, retries_blocked=False))
    tunnel.feed(Start(), SessionEnded(failure))

    assert (tunnel.waits() is None) is waits_for_request


def test_a_tunnel_without_retries_also_waits_after_a_stable_connection() -> None:
    tunnel = LifecycleDriver(structs.replace(STEADY, retries=False))
    tunnel.feed(Start(), SessionOpened())
    tunnel.now += GATE_TIME + 1

    assert tunnel.feed(SessionEnded(LOST)) == Blocked(FailedAttempts(), inf, LOST)
