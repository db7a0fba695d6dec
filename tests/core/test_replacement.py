"""The replacement of a connection, from its attempts to the end of the previous one."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

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
def up() -> LifecycleDriver:
    """Return a tunnel that is up and stable."""
    tunnel = LifecycleDriver()
    tunnel.feed(Start(), SessionOpened())
    tunnel.at_deadline()
    return tunnel


@pytest.mark.parametrize("asked", [RestartGracefully(), ConnectionUnhealthy()])
def test_the_new_connection_takes_over_before_the_previous_one_closes(
    up: LifecycleDriver, asked: Event
) -> None:
    first = opened_at(up.state)

    assert replacement_of(up.feed(asked)) == ReplacementConnecting(FailedAttempts())
    up.wait(3)
    assert isinstance(replacement_of(up.feed(ReplacementReady())), Draining)
    assert opened_at(up.state) == up.now > first
    up.feed(SessionOpened())
    assert replacement_of(up.feed(Drained())) == Closing()
    assert replacement_of(up.feed(ReplacementEnded(LOST))) == NoReplacement()

    assert isinstance(up.state, Up)
    assert up.commands == [OPEN, OPEN_REPLACEMENT, SWITCH, CLOSE_REPLACEMENT]


def test_the_previous_connection_is_closed_at_the_drain_timeout(
    up: LifecycleDriver,
) -> None:
    up.feed(ConnectionUnhealthy(), ReplacementReady())
    up.at_deadline()
    assert isinstance(replacement_of(up.state), Draining), "that was the gate time"

    assert up.waits() == DRAIN_TIMEOUT - GATE_TIME
    assert replacement_of(up.at_deadline()) == Closing()
    assert up.commands[-1] is CLOSE_REPLACEMENT


def test_a_drain_timeout_of_zero_closes_at_once() -> None:
    tunnel = LifecycleDriver(replace(STEADY, drain_timeout=0))
    tunnel.feed(Start(), SessionOpened(), ConnectionUnhealthy(), ReplacementReady())

    assert tunnel.waits() == 0
    assert replacement_of(tunnel.at_deadline()) == Closing()


def test_a_connection_whose_replacement_fails_stays_in_use_and_the_replacement_is_retried(
    up: LifecycleDriver,
) -> None:
    first = opened_at(up.state)
    up.feed(ConnectionUnhealthy())

    waits = []
    for _ in range(3):
        up.feed(ReplacementEnded(LOST))
        waits.append(up.waits())
        assert isinstance(up.at_deadline(), Up)

    assert waits == [1, 2, 4]
    assert opened_at(up.state) == first
    assert isinstance(replacement_of(up.feed(ReplacementReady())), Draining)


def test_a_replacement_that_needs_the_user_is_retried_rarely_and_when_files_change(
    up: LifecycleDriver,
) -> None:
    up.feed(ConnectionUnhealthy(), ReplacementEnded(DENIED))
    assert up.waits() == BLOCKED_DELAY

    assert isinstance(replacement_of(up.feed(RetryNow())), ReplacementConnecting)


def test_a_network_change_ends_the_wait_for_a_replacement_or_shortens_it_if_it_needs_the_user(
    up: LifecycleDriver,
) -> None:
    up.feed(ConnectionUnhealthy(), ReplacementEnded(DENIED), NetworkChanged())
    assert up.waits() == BLOCKED_MAX_DELAY_AFTER_NETWORK_CHANGE

    up.at_deadline()
    up.feed(ReplacementEnded(REFUSED))
    assert isinstance(replacement_of(up.feed(NetworkChanged())), ReplacementConnecting)


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
    up: LifecycleDriver,
) -> None:
    backoff = up.feed(ConnectionUnhealthy(), ReplacementEnded(LOST))

    assert up.feed(ConnectionUnhealthy(), ConnectionUnhealthy()) == backoff


def test_a_connection_that_ends_while_its_replacement_connects_is_followed_by_it(
    up: LifecycleDriver,
) -> None:
    up.feed(ConnectionUnhealthy())

    assert up.feed(SessionEnded(LOST)) == Connecting(FailedAttempts(), LOST)
    assert up.commands == [OPEN, OPEN_REPLACEMENT, SWITCH]
    assert failure_of(up.state) == LOST
    assert isinstance(up.feed(SessionOpened()), Up)


def test_the_previous_connection_is_used_again_if_the_new_one_ends(up: LifecycleDriver) -> None:
    first = opened_at(up.state)
    up.feed(ConnectionUnhealthy(), ReplacementReady())
    up.wait(1)

    assert isinstance(up.feed(SessionEnded(LOST)), Up)
    assert opened_at(up.state) == first
    assert up.waits() == 1
    up.at_deadline()
    up.feed(ReplacementReady())
    up.wait(1)
    up.feed(SessionEnded(LOST))
    assert up.waits() == 2, "a server that accepts and drops is backed off from"


def test_a_connection_that_ends_while_the_previous_one_closes_is_opened_again(
    up: LifecycleDriver,
) -> None:
    up.feed(ConnectionUnhealthy(), ReplacementReady(), Drained())

    assert up.feed(SessionEnded(LOST)) == Stopping(then_start=True)
    assert up.feed(ReplacementEnded(LOST)) == Connecting()


def test_a_replacement_requested_while_a_connection_drains_is_opened_afterwards(
    up: LifecycleDriver,
) -> None:
    up.feed(RestartGracefully(), ReplacementReady(), RestartGracefully())
    assert up.commands.count(OPEN_REPLACEMENT) == 1

    up.feed(Drained(), ReplacementEnded(LOST))
    assert up.waits() == 0
    up.at_deadline()
    assert up.commands.count(OPEN_REPLACEMENT) == 2


@pytest.mark.parametrize(
    "events", [(ConnectionUnhealthy(),), (ConnectionUnhealthy(), ReplacementReady())]
)
def test_a_stop_closes_both_sessions_and_waits_for_both(
    up: LifecycleDriver, events: tuple[Event, ...]
) -> None:
    up.feed(*events)

    assert up.feed(Stop()) == Stopping(sessions=2)
    assert up.commands[-1] is CLOSE_ALL
    assert up.feed(ReplacementEnded(LOST)) == Stopping()
    assert up.feed(SessionEnded(LOST)) == Stopped()


def test_a_replaced_degraded_tunnel_is_up_once_its_forwards_work(up: LifecycleDriver) -> None:
    up.feed(ForwardsChanged(PORT_BUSY), ConnectionUnhealthy())

    assert isinstance(up.feed(ReplacementReady()), Degraded)
    assert isinstance(up.feed(SessionOpened()), Up)


@pytest.mark.parametrize("max_lifetime", [0, 500])
def test_an_unhealthy_new_connection_is_switched_back_to_the_previous_one(
    up: LifecycleDriver, max_lifetime: float
) -> None:
    up.policy = replace(STEADY, max_lifetime=max_lifetime)
    first = opened_at(up.state)
    up.feed(RestartGracefully())
    up.wait(3)
    up.feed(ReplacementReady(), SessionOpened(PORT_BUSY))
    second = opened_at(up.state)
    up.wait(60)

    assert isinstance(replacement_of(up.feed(ConnectionUnhealthy())), Draining)
    assert up.commands == [OPEN, OPEN_REPLACEMENT, SWITCH, SWITCH]
    assert opened_at(up.state) == first < second
    up.feed(SessionOpened(), Drained(), ReplacementEnded(LOST))

    assert isinstance(up.state, Up)
    assert up.waits() == (max_lifetime or None), "not replaced again at once"


def test_a_connection_that_is_unhealthy_before_it_opens_is_replaced_after_opening() -> None:
    tunnel = LifecycleDriver()

    tunnel.feed(Start(), ConnectionUnhealthy(), SessionOpened(PORT_BUSY))

    assert tunnel.waits() == 0
    assert replacement_of(tunnel.at_deadline()) == ReplacementConnecting(FailedAttempts())
    assert tunnel.commands == [OPEN, OPEN_REPLACEMENT]


def test_each_replacement_is_replaced_after_its_own_lifetime(up: LifecycleDriver) -> None:
    up.policy = replace(STEADY, max_lifetime=2, gate_time=0)
    up.feed(ConnectionUnhealthy(), ReplacementReady())
    for _ in range(5):
        up.feed(Drained(), ReplacementEnded(LOST))
        while not isinstance(replacement_of(up.state), ReplacementConnecting):
            up.at_deadline()
        assert isinstance(up.feed(ReplacementReady()), Up)

    assert up.commands.count(SWITCH) == 6


def test_an_expired_connection_is_not_replaced_while_the_previous_one_drains(
    up: LifecycleDriver,
) -> None:
    up.policy = replace(STEADY, max_lifetime=10)
    up.feed(ConnectionUnhealthy(), ReplacementReady())
    up.wait(20)

    up.feed(DeadlineReached())

    assert isinstance(replacement_of(up.state), Draining)
    assert up.waits() not in (None, inf, 0)
