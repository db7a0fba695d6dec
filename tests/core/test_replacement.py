"""A connection that another one takes the place of, told in scenes."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from tests.core.lives import DENIED, GATE_TIME, LOST, PORT_BUSY, REFUSED, STEADY, TunnelLife
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
    RestartGracefully,
    SecondEnded,
    Start,
    Stop,
    Useless,
)
from tunnelkeeper.core.retries import BLOCKED_RETRY, BLOCKED_RETRY_AFTER_MOVE, Tries
from tunnelkeeper.core.states import (
    Connecting,
    Degraded,
    Stopped,
    Stopping,
    Up,
    failure_of,
    opened_at,
    second_of,
)
from tunnelkeeper.core.succession import Alone, Arriving, Delayed, Dismissed, Leaving

DRAIN_TIMEOUT = STEADY.drain_timeout
OPEN, OPEN_SECOND, SWITCH, CLOSE_SECOND, CLOSE_ALL = (
    Command.OPEN_SESSION,
    Command.OPEN_SECOND,
    Command.SWITCH,
    Command.CLOSE_SECOND,
    Command.CLOSE_ALL,
)


@pytest.fixture
def up() -> TunnelLife:
    """A tunnel that is up and trusted."""
    tunnel = TunnelLife()
    tunnel.feed(Start(), Opened())
    tunnel.at_deadline()
    return tunnel


@pytest.mark.parametrize("asked", [RestartGracefully(), Useless()])
def test_a_new_connection_takes_over_before_the_old_one_is_let_go(
    up: TunnelLife, asked: Event
) -> None:
    first = opened_at(up.state)

    assert second_of(up.feed(asked)) == Arriving(Tries())
    up.wait(3)
    assert isinstance(second_of(up.feed(Arrived())), Leaving)
    assert opened_at(up.state) == up.now > first
    up.feed(Opened())
    assert second_of(up.feed(Drained())) == Dismissed()
    assert second_of(up.feed(SecondEnded(LOST))) == Alone()

    assert isinstance(up.state, Up)
    assert up.commands == [OPEN, OPEN_SECOND, SWITCH, CLOSE_SECOND]


def test_what_is_open_on_the_old_connection_is_cut_off_at_the_drain_timeout(up: TunnelLife) -> None:
    up.feed(Useless(), Arrived())
    up.at_deadline()
    assert isinstance(second_of(up.state), Leaving), "that was the gate time"

    assert up.waits() == DRAIN_TIMEOUT - GATE_TIME
    assert second_of(up.at_deadline()) == Dismissed()
    assert up.commands[-1] is CLOSE_SECOND


def test_a_drain_timeout_of_nothing_leaves_no_time() -> None:
    tunnel = TunnelLife(replace(STEADY, drain_timeout=0))
    tunnel.feed(Start(), Opened(), Useless(), Arrived())

    assert tunnel.waits() == 0
    assert second_of(tunnel.at_deadline()) == Dismissed()


def test_a_connection_whose_replacement_fails_stays_in_use_and_is_tried_again(
    up: TunnelLife,
) -> None:
    first = opened_at(up.state)
    up.feed(Useless())

    waits = []
    for _ in range(3):
        up.feed(SecondEnded(LOST))
        waits.append(up.waits())
        assert isinstance(up.at_deadline(), Up)

    assert waits == [1, 2, 4]
    assert opened_at(up.state) == first
    assert isinstance(second_of(up.feed(Arrived())), Leaving)


def test_a_replacement_that_a_person_must_help_is_tried_again_seldom_and_when_files_change(
    up: TunnelLife,
) -> None:
    up.feed(Useless(), SecondEnded(DENIED))
    assert up.waits() == BLOCKED_RETRY

    assert isinstance(second_of(up.feed(Nudged())), Arriving)


def test_a_move_ends_the_wait_for_a_replacement_or_shortens_it_for_a_person(
    up: TunnelLife,
) -> None:
    up.feed(Useless(), SecondEnded(DENIED), Moved())
    assert up.waits() == BLOCKED_RETRY_AFTER_MOVE

    up.at_deadline()
    up.feed(SecondEnded(REFUSED))
    assert isinstance(second_of(up.feed(Moved())), Arriving)


def test_a_replacement_that_failed_too_often_waits_for_a_persons_word() -> None:
    tunnel = TunnelLife(replace(STEADY, max_attempts=1))
    tunnel.feed(Start(), Opened())
    tunnel.at_deadline()
    tunnel.feed(Useless(), SecondEnded(REFUSED))

    assert tunnel.waits() is None
    assert second_of(tunnel.feed(Nudged(), Moved(), Useless())) == second_of(tunnel.state)
    assert isinstance(second_of(tunnel.state), Delayed)
    assert second_of(tunnel.feed(RestartGracefully())) == Arriving(Tries())


def test_a_failing_check_does_not_shorten_the_wait_for_the_next_replacement(
    up: TunnelLife,
) -> None:
    delayed = up.feed(Useless(), SecondEnded(LOST))

    assert up.feed(Useless(), Useless()) == delayed


def test_a_connection_that_ends_while_another_is_on_its_way_is_followed_by_that(
    up: TunnelLife,
) -> None:
    up.feed(Useless())

    assert up.feed(Ended(LOST)) == Connecting(Tries(), LOST)
    assert up.commands == [OPEN, OPEN_SECOND, SWITCH]
    assert failure_of(up.state) == LOST
    assert isinstance(up.feed(Opened()), Up)


def test_a_new_connection_that_ends_soon_gives_the_old_one_back(up: TunnelLife) -> None:
    first = opened_at(up.state)
    up.feed(Useless(), Arrived())
    up.wait(1)

    assert isinstance(up.feed(Ended(LOST)), Up)
    assert opened_at(up.state) == first
    assert up.waits() == 1
    up.at_deadline()
    up.feed(Arrived())
    up.wait(1)
    up.feed(Ended(LOST))
    assert up.waits() == 2, "a server that accepts and drops is backed off from"


def test_a_connection_that_ends_after_its_predecessor_was_dismissed_is_made_anew(
    up: TunnelLife,
) -> None:
    up.feed(Useless(), Arrived(), Drained())

    assert up.feed(Ended(LOST)) == Stopping(then_start=True)
    assert up.feed(SecondEnded(LOST)) == Connecting()


def test_a_replacement_that_is_asked_for_while_one_leaves_comes_after_that(up: TunnelLife) -> None:
    up.feed(RestartGracefully(), Arrived(), RestartGracefully())
    assert up.commands.count(OPEN_SECOND) == 1

    up.feed(Drained(), SecondEnded(LOST))
    assert up.waits() == 0
    up.at_deadline()
    assert up.commands.count(OPEN_SECOND) == 2


@pytest.mark.parametrize("events", [(Useless(),), (Useless(), Arrived())])
def test_a_stop_closes_both_and_waits_for_both(up: TunnelLife, events: tuple[Event, ...]) -> None:
    up.feed(*events)

    assert up.feed(Stop()) == Stopping(sessions=2)
    assert up.commands[-1] is CLOSE_ALL
    assert up.feed(SecondEnded(LOST)) == Stopping()
    assert up.feed(Ended(LOST)) == Stopped()


def test_a_degraded_tunnel_is_replaced_and_is_up_when_its_forwards_are(up: TunnelLife) -> None:
    up.feed(ForwardsChanged(PORT_BUSY), Useless())

    assert isinstance(up.feed(Arrived()), Degraded)
    assert isinstance(up.feed(Opened()), Up)


@pytest.mark.parametrize("max_lifetime", [0, 500])
def test_a_new_connection_that_carries_no_data_gives_way_to_the_old_one_at_once(
    up: TunnelLife, max_lifetime: float
) -> None:
    up.policy = replace(STEADY, max_lifetime=max_lifetime)
    first = opened_at(up.state)
    up.feed(RestartGracefully())
    up.wait(3)
    up.feed(Arrived(), Opened(PORT_BUSY))
    second = opened_at(up.state)
    up.wait(60)

    assert isinstance(second_of(up.feed(Useless())), Leaving)
    assert up.commands == [OPEN, OPEN_SECOND, SWITCH, SWITCH]
    assert opened_at(up.state) == first < second
    up.feed(Opened(), Drained(), SecondEnded(LOST))

    assert isinstance(up.state, Up)
    assert up.waits() == (max_lifetime or None), "not replaced again at once"


def test_a_connection_whose_first_check_is_one_too_many_is_replaced_when_it_has_opened() -> None:
    tunnel = TunnelLife()

    tunnel.feed(Start(), Useless(), Opened(PORT_BUSY))

    assert tunnel.waits() == 0
    assert second_of(tunnel.at_deadline()) == Arriving(Tries())
    assert tunnel.commands == [OPEN, OPEN_SECOND]


def test_lifetimes_follow_each_other(up: TunnelLife) -> None:
    up.policy = replace(STEADY, max_lifetime=2, gate_time=0)
    up.feed(Useless(), Arrived())
    for _ in range(5):
        up.feed(Drained(), SecondEnded(LOST))
        while not isinstance(second_of(up.state), Arriving):
            up.at_deadline()
        assert isinstance(up.feed(Arrived()), Up)

    assert up.commands.count(SWITCH) == 6


def test_an_expired_connection_is_not_replaced_while_its_predecessor_leaves(up: TunnelLife) -> None:
    up.policy = replace(STEADY, max_lifetime=10)
    up.feed(Useless(), Arrived())
    up.wait(20)

    up.feed(DeadlineReached())

    assert isinstance(second_of(up.state), Leaving)
    assert up.waits() not in (None, inf, 0)
