"""The replacement of a connection, from its attempts to the end of the previous one."""

from __future__ import annotations

from math import inf

import pytest
from msgspec.structs import replace

from tests.core.lifecycle_driver import (
    DENIED,
    GATE_TIME,
    LOST,
    PORT_BUSY,
    REFUSED,
    STEADY,
    LifecycleDriver,
)
from tunnelkeeper.core.lifecycle import (
    Command,
    ConnectionUnhealthy,
    DeadlineReached,
    Drained,
    Event,
    ForwardsChanged,
    NetworkChanged,
    ReplacementEnded,
    ReplacementReady,
    RestartGracefully,
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
)
from tunnelkeeper.core.states import (
    Closing,
    Connecting,
    Degraded,
    Draining,
    NoReplacement,
    ReplacementBackoff,
    ReplacementConnecting,
    Stopped,
    Stopping,
    Up,
    failure_of,
    opened_at,
    replacement_of,
)

DRAIN_TIMEOUT = STEADY.drain_timeout
OPEN, OPEN_REPLACEMENT, SWITCH, CLOSE_REPLACEMENT, CLOSE_ALL = (
    Command.OPEN_SESSION,
    Command.OPEN_REPLACEMENT,
    Command.SWITCH_SESSIONS,
    Command.CLOSE_REPLACEMENT,
    Command.CLOSE_ALL,
)


@pytest.fixture
def tunnel() -> LifecycleDriver:
    """Return a tunnel that is up and stable."""
    tunnel = LifecycleDriver()
    tunnel.feed(Start(), SessionOpened())
    tunnel.at_deadline()
    return tunnel


@pytest.mark.parametrize("event", [RestartGracefully(), ConnectionUnhealthy()])
def test_the_new_connection_takes_over_before_the_previous_one_closes(
    tunnel: LifecycleDriver, event: Event
) -> None:
    first = opened_at(tunnel.state)

    assert replacement_of(tunnel.feed(event)) == ReplacementConnecting(FailedAttempts())
    tunnel.wait(3)
    assert isinstance(replacement_of(tunnel.feed(ReplacementReady())), Draining)
    assert opened_at(tunnel.state) == tunnel.now > first
    tunnel.feed(SessionOpened())
    assert replacement_of(tunnel.feed(Drained())) == Closing()
    assert replacement_of(tunnel.feed(ReplacementEnded(LOST))) == NoReplacement()

    assert isinstance(tunnel.state, Up)
    assert tunnel.commands == [OPEN, OPEN_REPLACEMENT, SWITCH, CLOSE_REPLACEMENT]


def test_the_previous_connection_is_closed_at_the_drain_timeout(
    tunnel: LifecycleDriver,
) -> None:
    tunnel.feed(ConnectionUnhealthy(), ReplacementReady())
    tunnel.at_deadline()
    assert isinstance(replacement_of(tunnel.state), Draining), "this deadline was the gate time"

    assert tunnel.waits() == DRAIN_TIMEOUT - GATE_TIME
    assert replacement_of(tunnel.at_deadline()) == Closing()
    assert tunnel.commands[-1] is CLOSE_REPLACEMENT


def test_a_drain_timeout_of_zero_closes_at_once() -> None:
    tunnel = LifecycleDriver(replace(STEADY, drain_timeout=0))
    tunnel.feed(Start(), SessionOpened(), ConnectionUnhealthy(), ReplacementReady())

    assert tunnel.waits() == 0
    assert replacement_of(tunnel.at_deadline()) == Closing()


def test_a_connection_whose_replacement_fails_stays_in_use_and_the_replacement_is_retried(
    tunnel: LifecycleDriver,
) -> None:
    first = opened_at(tunnel.state)
    tunnel.feed(ConnectionUnhealthy())

    waits = []
    for _ in range(3):
        tunnel.feed(ReplacementEnded(LOST))
        waits.append(tunnel.waits())
        assert isinstance(tunnel.at_deadline(), Up)

    assert waits == [1, 2, 4]
    assert opened_at(tunnel.state) == first
    assert isinstance(replacement_of(tunnel.feed(ReplacementReady())), Draining)


def test_a_replacement_that_needs_the_user_is_retried_rarely_and_when_files_change(
    tunnel: LifecycleDriver,
) -> None:
    tunnel.feed(ConnectionUnhealthy(), ReplacementEnded(DENIED))
    assert tunnel.waits() == BLOCKED_DELAY

    assert isinstance(replacement_of(tunnel.feed(RetryNow())), ReplacementConnecting)


def test_a_network_change_ends_the_wait_for_a_replacement_or_shortens_it_if_it_needs_the_user(
    tunnel: LifecycleDriver,
) -> None:
    tunnel.feed(ConnectionUnhealthy(), ReplacementEnded(DENIED), NetworkChanged())
    assert tunnel.waits() == BLOCKED_MAX_DELAY_AFTER_NETWORK_CHANGE

    tunnel.at_deadline()
    tunnel.feed(ReplacementEnded(REFUSED))
    assert isinstance(replacement_of(tunnel.feed(NetworkChanged())), ReplacementConnecting)


def test_after_max_attempts_a_replacement_waits_for_a_request() -> None:
    tunnel = LifecycleDriver(replace(STEADY, max_attempts=1))
    tunnel.feed(Start(), SessionOpened())
    tunnel.at_deadline()
    tunnel.feed(ConnectionUnhealthy(), ReplacementEnded(REFUSED))

    assert tunnel.waits() is None
    assert replacement_of(
        tunnel.feed(RetryNow(), NetworkChanged(), ConnectionUnhealthy())
    ) == replacement_of(tunnel.state)
    assert isinstance(replacement_of(tunnel.state), ReplacementBackoff)
    assert replacement_of(tunnel.feed(RestartGracefully())) == ReplacementConnecting(
        FailedAttempts()
    )


def test_a_failing_check_does_not_shorten_the_wait_for_the_next_replacement(
    tunnel: LifecycleDriver,
) -> None:
    backoff = tunnel.feed(ConnectionUnhealthy(), ReplacementEnded(LOST))

    assert tunnel.feed(ConnectionUnhealthy(), ConnectionUnhealthy()) == backoff


def test_a_connection_that_ends_while_its_replacement_connects_is_followed_by_it(
    tunnel: LifecycleDriver,
) -> None:
    tunnel.feed(ConnectionUnhealthy())

    assert tunnel.feed(SessionEnded(LOST)) == Connecting(FailedAttempts(), LOST)
    assert tunnel.commands == [OPEN, OPEN_REPLACEMENT, SWITCH]
    assert failure_of(tunnel.state) == LOST
    assert isinstance(tunnel.feed(SessionOpened()), Up)


def test_the_previous_connection_is_used_again_if_the_new_one_ends(tunnel: LifecycleDriver) -> None:
    first = opened_at(tunnel.state)
    tunnel.feed(ConnectionUnhealthy(), ReplacementReady())
    tunnel.wait(1)

    assert isinstance(tunnel.feed(SessionEnded(LOST)), Up)
    assert opened_at(tunnel.state) == first
    assert tunnel.waits() == 1
    tunnel.at_deadline()
    tunnel.feed(ReplacementReady())
    tunnel.wait(1)
    tunnel.feed(SessionEnded(LOST))
    assert tunnel.waits() == 2, "a server that accepts and drops is backed off from"


def test_a_connection_that_ends_while_the_previous_one_closes_is_opened_again(
    tunnel: LifecycleDriver,
) -> None:
    tunnel.feed(ConnectionUnhealthy(), ReplacementReady(), Drained())

    assert tunnel.feed(SessionEnded(LOST)) == Stopping(then_start=True)
    assert tunnel.feed(ReplacementEnded(LOST)) == Connecting()


def test_a_replacement_requested_while_a_connection_drains_is_opened_afterwards(
    tunnel: LifecycleDriver,
) -> None:
    tunnel.feed(RestartGracefully(), ReplacementReady(), RestartGracefully())
    assert tunnel.commands.count(OPEN_REPLACEMENT) == 1

    tunnel.feed(Drained(), ReplacementEnded(LOST))
    assert tunnel.waits() == 0
    tunnel.at_deadline()
    assert tunnel.commands.count(OPEN_REPLACEMENT) == 2


@pytest.mark.parametrize(
    "events", [(ConnectionUnhealthy(),), (ConnectionUnhealthy(), ReplacementReady())]
)
def test_a_stop_closes_both_sessions_and_waits_for_both(
    tunnel: LifecycleDriver, events: tuple[Event, ...]
) -> None:
    tunnel.feed(*events)

    assert tunnel.feed(Stop()) == Stopping(sessions=2)
    assert tunnel.commands[-1] is CLOSE_ALL
    assert tunnel.feed(ReplacementEnded(LOST)) == Stopping()
    assert tunnel.feed(SessionEnded(LOST)) == Stopped()


def test_a_replaced_degraded_tunnel_is_up_once_its_forwards_work(tunnel: LifecycleDriver) -> None:
    tunnel.feed(ForwardsChanged(PORT_BUSY), ConnectionUnhealthy())

    assert isinstance(tunnel.feed(ReplacementReady()), Degraded)
    assert isinstance(tunnel.feed(SessionOpened()), Up)


@pytest.mark.parametrize("max_lifetime", [0, 500])
def test_an_unhealthy_new_connection_is_switched_back_to_the_previous_one(
    tunnel: LifecycleDriver, max_lifetime: float
) -> None:
    tunnel.policy = replace(STEADY, max_lifetime=max_lifetime)
    first = opened_at(tunnel.state)
    tunnel.feed(RestartGracefully())
    tunnel.wait(3)
    tunnel.feed(ReplacementReady(), SessionOpened(PORT_BUSY))
    second = opened_at(tunnel.state)
    tunnel.wait(60)

    assert isinstance(replacement_of(tunnel.feed(ConnectionUnhealthy())), Draining)
    assert tunnel.commands == [OPEN, OPEN_REPLACEMENT, SWITCH, SWITCH]
    assert opened_at(tunnel.state) == first < second
    tunnel.feed(SessionOpened(), Drained(), ReplacementEnded(LOST))

    assert isinstance(tunnel.state, Up)
    assert tunnel.waits() == (max_lifetime or None), "not replaced again at once"


def test_a_connection_that_is_unhealthy_before_it_opens_is_replaced_after_opening() -> None:
    tunnel = LifecycleDriver()

    tunnel.feed(Start(), ConnectionUnhealthy(), SessionOpened(PORT_BUSY))

    assert tunnel.waits() == 0
    assert replacement_of(tunnel.at_deadline()) == ReplacementConnecting(FailedAttempts())
    assert tunnel.commands == [OPEN, OPEN_REPLACEMENT]


def test_each_replacement_is_replaced_after_its_own_lifetime(tunnel: LifecycleDriver) -> None:
    tunnel.policy = replace(STEADY, max_lifetime=2, gate_time=0)
    tunnel.feed(ConnectionUnhealthy(), ReplacementReady())
    for _ in range(5):
        tunnel.feed(Drained(), ReplacementEnded(LOST))
        while not isinstance(replacement_of(tunnel.state), ReplacementConnecting):
            tunnel.at_deadline()
        assert isinstance(tunnel.feed(ReplacementReady()), Up)

    assert tunnel.commands.count(SWITCH) == 6


def test_an_expired_connection_is_not_replaced_while_the_previous_one_drains(
    tunnel: LifecycleDriver,
) -> None:
    tunnel.policy = replace(STEADY, max_lifetime=10)
    tunnel.feed(ConnectionUnhealthy(), ReplacementReady())
    tunnel.wait(20)

    tunnel.feed(DeadlineReached())

    assert isinstance(replacement_of(tunnel.state), Draining)
    assert tunnel.waits() not in (None, inf, 0)
