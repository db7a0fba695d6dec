"""Every pair of state and event, and what becomes of it.

The cells:

    .         nothing at all changes          open      connecting, by a new session
    up        up, though perhaps not as it was  close     stopping: the sessions are closed
    degraded  the same with a bad forward     renew     stopping, to start again after that
    backoff   waiting to try again            blocked   a person must act
    stopped   it is over                      later     stopping, and a start is asked for
                                              never     stopping, and none is asked for
    doubt     connecting, and to be replaced  half      stopping, and one session is gone

About the second session of a tunnel that is connected:

    second    it is opened                    switch    it takes over; the other one leaves
    delay     it failed; another one later    back      it is used again: the newer one is gone
    dismiss   it is closed                    rise      the other one is gone, and it still connects
    alone     it is gone
"""

from __future__ import annotations

from typing import get_args

import pytest

from tests.core.lifecycle_driver import (
    EXTERNAL_EVENTS,
    NOW,
    REPLACEMENT_EVENTS,
    REQUESTS,
    SESSION_EVENTS,
    STATES,
    STEADY,
)
from tunnelkeeper.core.lifecycle import (
    Command,
    ConnectionUnhealthy,
    Event,
    ReplacementEnded,
    ReplacementReady,
    SessionEnded,
    step,
)
from tunnelkeeper.core.states import (
    BackingOff,
    Blocked,
    Closing,
    Connecting,
    Degraded,
    Draining,
    NoReplacement,
    Replacement,
    ReplacementBackoff,
    ReplacementConnecting,
    State,
    Stopped,
    Stopping,
    Up,
    deadline,
    failure_of,
    is_wanted,
    replacement_of,
    session_count,
)

WHEN_ASKED = """
                       start    stop     restart  graceful way
stopped                open     .        open     open     .
connecting             .        close    renew    renew    renew
up, young              .        close    renew    second   renew
up, gate passed        .        close    renew    second   renew
up, trusted            .        close    renew    second   renew
up, expired            .        close    renew    second   renew
up, arriving           .        close    renew    .        renew
up, delayed            .        close    renew    second   renew
up, delay over         .        close    renew    second   renew
up, not again          .        close    renew    second   renew
up, leaving            .        close    renew    up       renew
up, overdue            .        close    renew    up       renew
up, dismissed          .        close    renew    up       renew
degraded, young        .        close    renew    second   renew
degraded, gate passed  .        close    renew    second   renew
degraded, trusted      .        close    renew    second   renew
degraded, expired      .        close    renew    second   renew
degraded, arriving     .        close    renew    .        renew
degraded, leaving      .        close    renew    degraded renew
waiting                open     stopped  open     open     open
wait over              open     stopped  open     open     open
blocked                open     stopped  open     open     open
blocked, due           open     stopped  open     open     open
gave up                open     stopped  open     open     open
stopping               later    .        later    later    .
stopping, then start   .        never    .        .        .
stopping both          later    .        later    later    .
stopping both, start   .        never    .        .        .
"""

WHEN_SOMETHING_HAPPENED = """
                       nudged   moved    time
stopped                .        .        .
connecting             .        .        .
up, young              .        .        .
up, gate passed        .        .        up
up, trusted            .        .        .
up, expired            .        .        second
up, arriving           .        .        .
up, delayed            second   second   .
up, delay over         second   second   second
up, not again          .        .        .
up, leaving            .        .        .
up, overdue            .        .        dismiss
up, dismissed          .        .        .
degraded, young        .        .        .
degraded, gate passed  .        .        degraded
degraded, trusted      .        .        .
degraded, expired      .        .        second
degraded, arriving     .        .        .
degraded, leaving      .        .        .
waiting                open     open     .
wait over              open     open     open
blocked                open     .        .
blocked, due           open     .        open
gave up                .        .        .
stopping               .        .        .
stopping, then start   .        .        .
stopping both          .        .        .
stopping both, start   .        .        .
"""

WHEN_TOLD = """
                       opened   lacking  healed   hurt     useless  lost     denied
stopped                .        .        .        .        .        .        .
connecting             up       degraded .        .        doubt    backoff  blocked
up, young              .        degraded .        degraded second   backoff  blocked
up, gate passed        .        degraded .        degraded second   backoff  blocked
up, trusted            .        degraded .        degraded second   backoff  blocked
up, expired            .        degraded .        degraded second   backoff  blocked
up, arriving           .        degraded .        degraded .        rise     rise
up, delayed            .        degraded .        degraded .        backoff  blocked
up, delay over         .        degraded .        degraded .        backoff  blocked
up, not again          .        degraded .        degraded .        backoff  blocked
up, leaving            .        degraded .        degraded switch   back     back
up, overdue            .        degraded .        degraded switch   back     back
up, dismissed          .        degraded .        degraded up       later    later
degraded, young        up       .        up       .        second   backoff  blocked
degraded, gate passed  up       .        up       .        second   backoff  blocked
degraded, trusted      up       .        up       .        second   backoff  blocked
degraded, expired      up       .        up       .        second   backoff  blocked
degraded, arriving     up       .        up       .        .        rise     rise
degraded, leaving      up       .        up       .        switch   back     back
waiting                .        .        .        .        .        .        .
wait over              .        .        .        .        .        .        .
blocked                .        .        .        .        .        .        .
blocked, due           .        .        .        .        .        .        .
gave up                .        .        .        .        .        .        .
stopping               .        .        .        .        .        stopped  stopped
stopping, then start   .        .        .        .        .        open     open
stopping both          .        .        .        .        .        half     half
stopping both, start   .        .        .        .        .        half     half
"""

WHEN_TOLD_BESIDE = """
                       arrived  drained  gone     barred
stopped                .        .        .        .
connecting             .        .        .        .
up, young              .        .        .        .
up, gate passed        .        .        .        .
up, trusted            .        .        .        .
up, expired            .        .        .        .
up, arriving           switch   .        delay    delay
up, delayed            .        .        .        .
up, delay over         .        .        .        .
up, not again          .        .        .        .
up, leaving            .        dismiss  alone    alone
up, overdue            .        dismiss  alone    alone
up, dismissed          .        .        alone    alone
degraded, young        .        .        .        .
degraded, gate passed  .        .        .        .
degraded, trusted      .        .        .        .
degraded, expired      .        .        .        .
degraded, arriving     switch   .        delay    delay
degraded, leaving      .        dismiss  alone    alone
waiting                .        .        .        .
wait over              .        .        .        .
blocked                .        .        .        .
blocked, due           .        .        .        .
gave up                .        .        .        .
stopping               .        .        stopped  stopped
stopping, then start   .        .        open     open
stopping both          .        .        half     half
stopping both, start   .        .        half     half
"""

CHANGES: dict[tuple[type[State], bool, Command | None], str] = {
    (Connecting, True, Command.OPEN_SESSION): "open",
    (Connecting, True, Command.SWITCH_SESSIONS): "rise",
    (Connecting, True, None): "doubt",
    (Up, True, None): "up",
    (Degraded, True, None): "degraded",
    (BackingOff, True, None): "backoff",
    (Blocked, True, None): "blocked",
    (Stopped, False, None): "stopped",
    (Stopping, False, Command.CLOSE_ALL): "close",
    (Stopping, True, Command.CLOSE_ALL): "renew",
    (Stopping, True, None): "later",
    (Stopping, False, None): "never",
}

CHANGES_BESIDE: dict[tuple[type[Replacement], Command | None], str] = {
    (ReplacementConnecting, Command.OPEN_REPLACEMENT): "second",
    (Draining, Command.SWITCH_SESSIONS): "switch",
    (ReplacementBackoff, Command.SWITCH_SESSIONS): "back",
    (ReplacementBackoff, None): "delay",
    (Closing, Command.CLOSE_REPLACEMENT): "dismiss",
    (NoReplacement, None): "alone",
}

TABLES = [
    (WHEN_ASKED, REQUESTS),
    (WHEN_SOMETHING_HAPPENED, EXTERNAL_EVENTS),
    (WHEN_TOLD, SESSION_EVENTS),
    (WHEN_TOLD_BESIDE, REPLACEMENT_EVENTS),
]
EVENTS = REQUESTS | EXTERNAL_EVENTS | SESSION_EVENTS | REPLACEMENT_EVENTS
EACH_STATE = pytest.mark.parametrize("state", STATES.values(), ids=STATES)
EACH_EVENT = pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)


def rows(table: str) -> dict[str, list[str]]:
    """The cells of each row; the first row has no name."""
    lines = table.strip("\n").splitlines()
    width = len(lines[0]) - len(lines[0].lstrip())
    return {line[:width].strip(): line[width:].split() for line in lines}


def has_second(state: State) -> bool:
    if isinstance(state, Stopping):  # which of the two it was does not matter any more
        return True
    return isinstance(replacement_of(state), ReplacementConnecting | Draining | Closing)


def cell(state: State, event: Event) -> str:
    """What becomes of a state, in the words of the tables."""
    after, command = step(state, event, NOW, STEADY)
    if (after, command) == (state, None):
        return "."
    match state, after:
        case ((Up() | Degraded()), (Up() | Degraded())) if state.replacement != after.replacement:
            return CHANGES_BESIDE[type(after.replacement), command]
        case Stopping(sessions=2), Stopping(sessions=1):
            return "half"
    return CHANGES[type(after), is_wanted(after), command]


@pytest.mark.parametrize(("table", "events"), TABLES)
def test_the_tables_name_every_state_and_every_event(table: str, events: dict[str, Event]) -> None:
    header, *names = rows(table)

    assert rows(table)[header] == list(events)
    assert names == list(STATES)


def test_there_is_a_state_and_an_event_of_every_kind() -> None:
    assert {type(state) for state in STATES.values()} == set(get_args(State))
    assert {type(event) for event in EVENTS.values()} == set(get_args(Event))


@pytest.mark.parametrize("name", STATES)
def test_what_the_world_and_the_clock_make_of_a_state(name: str) -> None:
    table = rows(WHEN_SOMETHING_HAPPENED)

    assert [cell(STATES[name], event) for event in EXTERNAL_EVENTS.values()] == table[name]


@pytest.mark.parametrize("name", STATES)
def test_what_people_make_of_a_state(name: str) -> None:
    assert [cell(STATES[name], event) for event in REQUESTS.values()] == rows(WHEN_ASKED)[name]


@pytest.mark.parametrize("name", STATES)
def test_what_the_session_makes_of_a_state(name: str) -> None:
    assert [cell(STATES[name], event) for event in SESSION_EVENTS.values()] == rows(WHEN_TOLD)[name]


@pytest.mark.parametrize("name", STATES)
def test_what_the_second_session_makes_of_a_state(name: str) -> None:
    assert [cell(STATES[name], event) for event in REPLACEMENT_EVENTS.values()] == rows(
        WHEN_TOLD_BESIDE
    )[name]


@EACH_STATE
@EACH_EVENT
def test_a_session_begins_only_when_it_is_opened_and_ends_only_when_it_says_so(
    state: State, event: Event
) -> None:
    after, command = step(state, event, NOW, STEADY)
    opened = command in {Command.OPEN_SESSION, Command.OPEN_REPLACEMENT}
    is_gone = isinstance(event, SessionEnded) and session_count(state) > 0
    is_gone |= isinstance(event, ReplacementEnded) and has_second(state)

    assert session_count(after) == session_count(state) + opened - is_gone
    assert session_count(after) <= 2


@EACH_STATE
@EACH_EVENT
def test_only_sessions_that_are_there_are_closed_and_only_once(state: State, event: Event) -> None:
    after, command = step(state, event, NOW, STEADY)
    match command:
        case Command.CLOSE_ALL:
            assert session_count(state) > 0
            assert not isinstance(state, Stopping)
            assert isinstance(after, Stopping)
        case Command.CLOSE_REPLACEMENT:
            assert isinstance(replacement_of(state), Draining)
            assert replacement_of(after) == Closing()


@EACH_STATE
@EACH_EVENT
def test_only_a_session_that_can_serve_takes_over(state: State, event: Event) -> None:
    _, command = step(state, event, NOW, STEADY)
    if command is Command.SWITCH_SESSIONS:
        assert isinstance(replacement_of(state), ReplacementConnecting | Draining)
        assert isinstance(event, ReplacementReady | SessionEnded | ConnectionUnhealthy)


@EACH_STATE
@EACH_EVENT
def test_a_second_session_is_opened_only_beside_one_that_is_connected_and_alone(
    state: State, event: Event
) -> None:
    after, command = step(state, event, NOW, STEADY)
    if command is Command.OPEN_REPLACEMENT:
        assert isinstance(state, Up | Degraded)
        assert session_count(state) == 1
        assert type(after) is type(state), "nobody notices"


@EACH_STATE
def test_a_state_is_wanted_unless_it_is_stopped_or_on_the_way_there(state: State) -> None:
    is_unwanted = state in (Stopped(), Stopping(), Stopping(sessions=2))
    assert is_wanted(state) == (not is_unwanted)


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
        ("up, arriving", None),
        ("up, delayed", NOW + 10),
        ("up, not again", None),
        ("up, leaving", NOW + 10),
        ("up, overdue", NOW),
        ("up, dismissed", NOW + 10),
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
