"""The tunnel state machine: starting, stopping, forwards, lifetime and blocking."""

from __future__ import annotations

from math import inf

from msgspec.structs import replace

from tests.core.lifecycle_driver import (
    DENIED,
    GATE_TIME,
    LOST,
    NOW,
    PORT_BUSY,
    STEADY,
    LifecycleDriver,
)
from tunnelkeeper.core.configuration import Backoff, Tunnel
from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.lifecycle import (
    Command,
    DeadlineReached,
    ForwardsChanged,
    Restart,
    RetryNow,
    SessionEnded,
    SessionOpened,
    Start,
    Stop,
)
from tunnelkeeper.core.retry_policy import FailedAttempts, RetryPolicy
from tunnelkeeper.core.states import (
    Blocked,
    Connecting,
    Degraded,
    LiveConnection,
    ReplacementConnecting,
    Stopped,
    Stopping,
    Up,
    failure_of,
    replacement_of,
)

OPEN, CLOSE = Command.OPEN_SESSION, Command.CLOSE_ALL


# -- start and stop --------------------------------------------------------------------------------


def test_a_tunnel_starts_goes_up_and_stops(tunnel: LifecycleDriver) -> None:
    assert tunnel.feed(Start()) == Connecting()
    tunnel.wait(2)
    assert tunnel.feed(SessionOpened()) == Up(
        LiveConnection(NOW + 2, FailedAttempts(), NOW + 2 + GATE_TIME, inf)
    )
    assert tunnel.feed(Stop()) == Stopping()
    assert tunnel.feed(SessionEnded(LOST)) == Stopped()
    assert tunnel.commands == [OPEN, CLOSE]


def test_a_restart_connects_only_after_the_old_session_has_ended(tunnel: LifecycleDriver) -> None:
    tunnel.feed(Start(), SessionOpened())

    assert tunnel.feed(Restart()) == Stopping(then_start=True)
    assert tunnel.commands == [OPEN, CLOSE]
    assert tunnel.feed(SessionEnded(LOST)) == Connecting()
    assert tunnel.commands == [OPEN, CLOSE, OPEN]


def test_a_stop_while_connecting_closes_the_session(tunnel: LifecycleDriver) -> None:
    assert tunnel.feed(Start(), Stop()) == Stopping()
    assert tunnel.commands == [OPEN, CLOSE]


def test_the_last_request_while_stopping_wins(tunnel: LifecycleDriver) -> None:
    tunnel.feed(Start(), SessionOpened(), Stop(), Start(), Stop(), Start())
    assert tunnel.feed(SessionEnded(LOST)) == Connecting()

    tunnel.feed(Stop(), Restart(), Stop())
    assert tunnel.feed(SessionEnded(LOST)) == Stopped()


def test_a_session_that_opens_while_it_is_being_closed_is_still_closed(
    tunnel: LifecycleDriver,
) -> None:
    assert tunnel.feed(Start(), Stop(), SessionOpened()) == Stopping()


def test_a_start_leaves_a_live_connection_alone(tunnel: LifecycleDriver) -> None:
    before = tunnel.feed(Start(), SessionOpened())

    assert tunnel.feed(Start(), RetryNow()) is before
    assert tunnel.commands == [OPEN]


# -- forwards --------------------------------------------------------------------------------------


def test_a_forward_that_fails_and_recovers_leaves_the_connection_alone(
    tunnel: LifecycleDriver,
) -> None:
    up = tunnel.feed(Start(), SessionOpened())
    tunnel.wait(5)

    assert isinstance(tunnel.feed(ForwardsChanged(PORT_BUSY)), Degraded)
    assert failure_of(tunnel.state) == PORT_BUSY
    assert tunnel.feed(ForwardsChanged()) == up
    assert tunnel.commands == [OPEN]


def test_the_failure_of_another_forward_replaces_the_reason(tunnel: LifecycleDriver) -> None:
    denied = Failure(Cause.FORWARD_DENIED, "administratively prohibited")
    tunnel.feed(Start(), SessionOpened(PORT_BUSY), ForwardsChanged(denied))

    assert failure_of(tunnel.state) == denied


def test_a_late_forward_event_changes_nothing(tunnel: LifecycleDriver) -> None:
    before = tunnel.feed(Start(), SessionOpened(), SessionEnded(LOST))

    assert tunnel.feed(ForwardsChanged(PORT_BUSY)) is before


# -- max_lifetime ----------------------------------------------------------------------------------


def test_a_connection_is_renewed_at_the_end_of_its_lifetime() -> None:
    tunnel = LifecycleDriver(replace(STEADY, max_lifetime=3600))
    tunnel.feed(Start(), SessionOpened())
    tunnel.at_deadline()

    assert tunnel.waits() == 3600 - GATE_TIME
    assert replacement_of(tunnel.at_deadline()) == ReplacementConnecting(FailedAttempts())
    assert tunnel.now == NOW + 3600
    assert tunnel.commands == [OPEN, Command.OPEN_REPLACEMENT]


def test_the_lifetime_counts_from_opening_and_continues_while_degraded() -> None:
    tunnel = LifecycleDriver(replace(STEADY, max_lifetime=10))
    tunnel.feed(Start(), SessionOpened())
    tunnel.wait(9)
    tunnel.feed(ForwardsChanged(PORT_BUSY))

    assert tunnel.waits() == 1
    assert replacement_of(tunnel.at_deadline()) == ReplacementConnecting(FailedAttempts())


# -- blocked ---------------------------------------------------------------------------------------


def test_a_blocked_tunnel_tries_again_at_once_when_the_key_file_changes(
    tunnel: LifecycleDriver,
) -> None:
    assert tunnel.feed(Start(), SessionEnded(DENIED)) == Blocked(
        FailedAttempts(1, 1), NOW + 300, DENIED
    )
    tunnel.wait(1)

    assert tunnel.feed(RetryNow()) == Connecting(FailedAttempts(1, 1))


def test_an_early_deadline_leaves_the_tunnel_blocked(tunnel: LifecycleDriver) -> None:
    blocked = tunnel.feed(Start(), SessionEnded(DENIED))
    tunnel.wait(299)

    assert tunnel.feed(DeadlineReached()) == blocked


def test_the_gate_deadline_of_a_lost_connection_does_not_hammer_a_server_that_refuses_the_key(
    tunnel: LifecycleDriver,
) -> None:
    tunnel.feed(Start(), SessionOpened())
    tunnel.wait(GATE_TIME)

    assert isinstance(tunnel.feed(SessionEnded(DENIED), DeadlineReached()), Blocked)


# -- the policy ------------------------------------------------------------------------------------


def test_a_policy_has_the_settings_of_the_tunnel() -> None:
    backoff = Backoff(initial=3)
    tunnel = Tunnel(
        "db",
        "relay",
        backoff=backoff,
        gate_time=1,
        max_attempts=2,
        max_lifetime=3,
        drain_timeout=4,
        hold_timeout=5,
    )

    assert RetryPolicy.from_tunnel(tunnel, "seed") == RetryPolicy(backoff, 1, 2, 3, 4, "seed")
