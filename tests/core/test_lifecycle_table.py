"""Every pair of state and event, and what becomes of it.

The cells:

    .         nothing at all changes          open      connecting, by a new session
    up        up, though perhaps not as it was  close     stopping: the session is closed
    degraded  the same with a bad forward     renew     stopping, to start again after that
    backoff   waiting to try again            blocked   a person must act
    stopped   it is over                      later     stopping, and a start is asked for
                                              never     stopping, and none is asked for
"""

from __future__ import annotations

from typing import get_args

import pytest

from tests.core.lives import ASKED, NOW, STATES, STEADY, TOLD
from tunnelkeeper.core.lifecycle import (
    BackingOff,
    Blocked,
    Command,
    Connecting,
    Degraded,
    Ended,
    Event,
    State,
    Stopped,
    Stopping,
    Up,
    deadline,
    failure_of,
    holds_session,
    is_wanted,
    step,
)

WHEN_ASKED = """
                       start    stop     restart  way      nudged   moved    time
stopped                open     .        open     .        .        .        .
connecting             .        close    renew    renew    .        .        .
up, young              .        close    renew    renew    .        .        .
up, gate passed        .        close    renew    renew    .        .        up
up, trusted            .        close    renew    renew    .        .        .
up, expired            .        close    renew    renew    .        .        renew
degraded, young        .        close    renew    renew    .        .        .
degraded, gate passed  .        close    renew    renew    .        .        degraded
degraded, trusted      .        close    renew    renew    .        .        .
degraded, expired      .        close    renew    renew    .        .        renew
waiting                open     stopped  open     open     open     open     .
wait over              open     stopped  open     open     open     open     open
blocked                open     stopped  open     open     open     .        .
blocked, due           open     stopped  open     open     open     .        open
gave up                open     stopped  open     open     .        .        .
stopping               later    .        later    .        .        .        .
stopping, then start   .        never    .        .        .        .        .
"""

WHEN_TOLD = """
                       opened   lacking  healed   hurt     useless  lost     denied
stopped                .        .        .        .        .        .        .
connecting             up       degraded .        .        .        backoff  blocked
up, young              .        .        .        degraded renew    backoff  blocked
up, gate passed        .        .        .        degraded renew    backoff  blocked
up, trusted            .        .        .        degraded renew    backoff  blocked
up, expired            .        .        .        degraded renew    backoff  blocked
degraded, young        .        .        up       .        renew    backoff  blocked
degraded, gate passed  .        .        up       .        renew    backoff  blocked
degraded, trusted      .        .        up       .        renew    backoff  blocked
degraded, expired      .        .        up       .        renew    backoff  blocked
waiting                .        .        .        .        .        .        .
wait over              .        .        .        .        .        .        .
blocked                .        .        .        .        .        .        .
blocked, due           .        .        .        .        .        .        .
gave up                .        .        .        .        .        .        .
stopping               .        .        .        .        .        stopped  stopped
stopping, then start   .        .        .        .        .        open     open
"""

CHANGES: dict[tuple[type[State], bool, Command | None], str] = {
    (Connecting, True, Command.OPEN_SESSION): "open",
    (Up, True, None): "up",
    (Degraded, True, None): "degraded",
    (BackingOff, True, None): "backoff",
    (Blocked, True, None): "blocked",
    (Stopped, False, None): "stopped",
    (Stopping, False, Command.CLOSE_SESSION): "close",
    (Stopping, True, Command.CLOSE_SESSION): "renew",
    (Stopping, True, None): "later",
    (Stopping, False, None): "never",
}

EVENTS = ASKED | TOLD
EACH_STATE = pytest.mark.parametrize("state", STATES.values(), ids=STATES)
EACH_EVENT = pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)


def rows(table: str) -> dict[str, list[str]]:
    """The cells of each row; the first row has no name."""
    lines = table.strip("\n").splitlines()
    width = len(lines[0]) - len(lines[0].lstrip())
    return {line[:width].strip(): line[width:].split() for line in lines}


def cell(state: State, event: Event) -> str:
    """What becomes of a state, in the words of the tables."""
    after, command = step(state, event, NOW, STEADY)
    if (after, command) == (state, None):
        return "."
    return CHANGES[type(after), is_wanted(after), command]


@pytest.mark.parametrize(("table", "events"), [(WHEN_ASKED, ASKED), (WHEN_TOLD, TOLD)])
def test_the_tables_name_every_state_and_every_event(table: str, events: dict[str, Event]) -> None:
    header, *names = rows(table)

    assert rows(table)[header] == list(events)
    assert names == list(STATES)


def test_there_is_a_state_and_an_event_of_every_kind() -> None:
    assert {type(state) for state in STATES.values()} == set(get_args(State))
    assert {type(event) for event in EVENTS.values()} == set(get_args(Event))


@pytest.mark.parametrize("name", STATES)
def test_what_people_the_world_and_the_clock_make_of_a_state(name: str) -> None:
    assert [cell(STATES[name], event) for event in ASKED.values()] == rows(WHEN_ASKED)[name]


@pytest.mark.parametrize("name", STATES)
def test_what_the_session_makes_of_a_state(name: str) -> None:
    assert [cell(STATES[name], event) for event in TOLD.values()] == rows(WHEN_TOLD)[name]


@EACH_STATE
@EACH_EVENT
def test_a_session_begins_only_with_open_and_ends_only_with_ended(
    state: State, event: Event
) -> None:
    after, command = step(state, event, NOW, STEADY)
    is_left = holds_session(state) and not isinstance(event, Ended)
    is_opened = command is Command.OPEN_SESSION

    assert not (is_left and is_opened)
    assert holds_session(after) == (is_left or is_opened)


@EACH_STATE
@EACH_EVENT
def test_only_a_session_that_is_there_is_closed_and_only_once(state: State, event: Event) -> None:
    after, command = step(state, event, NOW, STEADY)
    if command is Command.CLOSE_SESSION:
        assert holds_session(state)
        assert not isinstance(state, Stopping)
        assert isinstance(after, Stopping)


@EACH_STATE
def test_a_state_is_wanted_unless_it_is_stopped_or_on_the_way_there(state: State) -> None:
    assert is_wanted(state) == (state not in (Stopped(), Stopping()))


@EACH_STATE
def test_a_state_that_is_not_up_but_was_tried_says_why(state: State) -> None:
    assert (failure_of(state) is not None) == isinstance(state, Degraded | BackingOff | Blocked)


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("stopped", None),
        ("connecting", None),
        ("up, young", NOW + 10),
        ("up, gate passed", NOW),
        ("up, trusted", NOW + 10),
        ("degraded, young", NOW + 10),
        ("degraded, expired", NOW),
        ("waiting", NOW + 10),
        ("blocked", NOW + 10),
        ("gave up", None),
        ("stopping", None),
        ("stopping, then start", None),
    ],
)
def test_a_deadline_is_when_a_state_changes_by_itself(name: str, at: float | None) -> None:
    assert deadline(STATES[name]) == at
