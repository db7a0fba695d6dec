"""The whole transition table: every pair of state and event, and the result.

The cells:

    .         nothing changes               open      connecting, with a new session
    up        up, perhaps modified          close     stopping: the sessions are closed
    degraded  degraded, perhaps modified    restart   stopping, then start again
    backoff   waiting for a retry           blocked   a user must act
    stopped   stopped                       later     stopping, and a start was requested
    half      stopping, one session ended   never     stopping, and the start was cancelled
    suspect   connecting, to be replaced

The cells about the replacement of a connected tunnel:

    replace   the replacement is opened     switch    it takes over; the previous one drains
    retry     it failed and is retried      return    the previous one is used again
    closing   the previous one is closed    promote   the one in use ended; it still connects
    none      the other session ended
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

REQUEST_TABLE = """
                       start     stop      restart   graceful  host
stopped                open      .         open      open      .
connecting             .         close     restart   restart   restart
up, unstable           .         close     restart   replace   restart
up, gate passed        .         close     restart   replace   restart
up, stable             .         close     restart   replace   restart
up, expired            .         close     restart   replace   restart
up, connecting         .         close     restart   .         restart
up, backoff            .         close     restart   replace   restart
up, retry due          .         close     restart   replace   restart
up, gave up            .         close     restart   replace   restart
up, draining           .         close     restart   up        restart
up, drain timeout      .         close     restart   up        restart
up, closing            .         close     restart   up        restart
degraded, unstable     .         close     restart   replace   restart
degraded, gate passed  .         close     restart   replace   restart
degraded, stable       .         close     restart   replace   restart
degraded, expired      .         close     restart   replace   restart
degraded, connecting   .         close     restart   .         restart
degraded, draining     .         close     restart   degraded  restart
backoff                open      stopped   open      open      open
backoff, retry due     open      stopped   open      open      open
blocked                open      stopped   open      open      open
blocked, retry due     open      stopped   open      open      open
gave up                open      stopped   open      open      open
stopping               later     .         later     later     .
stopping, then start   .         never     .         .         .
stopping both          later     .         later     later     .
stopping both, start   .         never     .         .         .
"""

EXTERNAL_TABLE = """
                       retry     network   deadline
stopped                .         .         .
connecting             .         .         .
up, unstable           .         .         .
up, gate passed        .         .         up
up, stable             .         .         .
up, expired            .         .         replace
up, connecting         .         .         .
up, backoff            replace   replace   .
up, retry due          replace   replace   replace
up, gave up            .         .         .
up, draining           .         .         .
up, drain timeout      .         .         closing
up, closing            .         .         .
degraded, unstable     .         .         .
degraded, gate passed  .         .         degraded
degraded, stable       .         .         .
degraded, expired      .         .         replace
degraded, connecting   .         .         .
degraded, draining     .         .         .
backoff                open      open      .
backoff, retry due     open      open      open
blocked                open      .         .
blocked, retry due     open      .         open
gave up                .         .         .
stopping               .         .         .
stopping, then start   .         .         .
stopping both          .         .         .
stopping both, start   .         .         .
"""

SESSION_TABLE = """
                       opened    partial   recover   fail      unhealthy lost      denied
stopped                .         .         .         .         .         .         .
connecting             up        degraded  .         .         suspect   backoff   blocked
up, unstable           .         degraded  .         degraded  replace   backoff   blocked
up, gate passed        .         degraded  .         degraded  replace   backoff   blocked
up, stable             .         degraded  .         degraded  replace   backoff   blocked
up, expired            .         degraded  .         degraded  replace   backoff   blocked
up, connecting         .         degraded  .         degraded  .         promote   promote
up, backoff            .         degraded  .         degraded  .         backoff   blocked
up, retry due          .         degraded  .         degraded  .         backoff   blocked
up, gave up            .         degraded  .         degraded  .         backoff   blocked
up, draining           .         degraded  .         degraded  switch    return    return
up, drain timeout      .         degraded  .         degraded  switch    return    return
up, closing            .         degraded  .         degraded  up        later     later
degraded, unstable     up        .         up        .         replace   backoff   blocked
degraded, gate passed  up        .         up        .         replace   backoff   blocked
degraded, stable       up        .         up        .         replace   backoff   blocked
degraded, expired      up        .         up        .         replace   backoff   blocked
degraded, connecting   up        .         up        .         .         promote   promote
degraded, draining     up        .         up        .         switch    return    return
backoff                .         .         .         .         .         .         .
backoff, retry due     .         .         .         .         .         .         .
blocked                .         .         .         .         .         .         .
blocked, retry due     .         .         .         .         .         .         .
gave up                .         .         .         .         .         .         .
stopping               .         .         .         .         .         stopped   stopped
stopping, then start   .         .         .         .         .         open      open
stopping both          .         .         .         .         .         half      half
stopping both, start   .         .         .         .         .         half      half
"""

REPLACEMENT_TABLE = """
                       ready     drained   ended     rejected
stopped                .         .         .         .
connecting             .         .         .         .
up, unstable           .         .         .         .
up, gate passed        .         .         .         .
up, stable             .         .         .         .
up, expired            .         .         .         .
up, connecting         switch    .         retry     retry
up, backoff            .         .         .         .
up, retry due          .         .         .         .
up, gave up            .         .         .         .
up, draining           .         closing   none      none
up, drain timeout      .         closing   none      none
up, closing            .         .         none      none
degraded, unstable     .         .         .         .
degraded, gate passed  .         .         .         .
degraded, stable       .         .         .         .
degraded, expired      .         .         .         .
degraded, connecting   switch    .         retry     retry
degraded, draining     .         closing   none      none
backoff                .         .         .         .
backoff, retry due     .         .         .         .
blocked                .         .         .         .
blocked, retry due     .         .         .         .
gave up                .         .         .         .
stopping               .         .         stopped   stopped
stopping, then start   .         .         open      open
stopping both          .         .         half      half
stopping both, start   .         .         half      half
"""

CHANGES: dict[tuple[type[State], bool, Command | None], str] = {
    (Connecting, True, Command.OPEN_SESSION): "open",
    (Connecting, True, Command.SWITCH_SESSIONS): "promote",
    (Connecting, True, None): "suspect",
    (Up, True, None): "up",
    (Degraded, True, None): "degraded",
    (BackingOff, True, None): "backoff",
    (Blocked, True, None): "blocked",
    (Stopped, False, None): "stopped",
    (Stopping, False, Command.CLOSE_ALL): "close",
    (Stopping, True, Command.CLOSE_ALL): "restart",
    (Stopping, True, None): "later",
    (Stopping, False, None): "never",
}

REPLACEMENT_CHANGES: dict[tuple[type[Replacement], Command | None], str] = {
    (ReplacementConnecting, Command.OPEN_REPLACEMENT): "replace",
    (Draining, Command.SWITCH_SESSIONS): "switch",
    (ReplacementBackoff, Command.SWITCH_SESSIONS): "return",
    (ReplacementBackoff, None): "retry",
    (Closing, Command.CLOSE_REPLACEMENT): "closing",
    (NoReplacement, None): "none",
}

TABLES = [
    (REQUEST_TABLE, REQUESTS),
    (EXTERNAL_TABLE, EXTERNAL_EVENTS),
    (SESSION_TABLE, SESSION_EVENTS),
    (REPLACEMENT_TABLE, REPLACEMENT_EVENTS),
]
EVENTS = REQUESTS | EXTERNAL_EVENTS | SESSION_EVENTS | REPLACEMENT_EVENTS
EACH_STATE = pytest.mark.parametrize("state", STATES.values(), ids=STATES)


def rows(table: str) -> dict[str, list[str]]:
    """Return the cells of each row. The header row has no name."""
    lines = table.strip("\n").splitlines()
    width = len(lines[0]) - len(lines[0].lstrip())
    return {line[:width].strip(): line[width:].split() for line in lines}


def has_other_session(state: State) -> bool:
    if isinstance(state, Stopping):  # it no longer matters which session it is
        return True
    return isinstance(replacement_of(state), ReplacementConnecting | Draining | Closing)


def cell(state: State, event: Event) -> str:
    """Return the cell of the table for a transition."""
    after, command = step(state, event, NOW, STEADY)
    if (after, command) == (state, None):
        return "."
    match state, after:
        case ((Up() | Degraded()), (Up() | Degraded())) if state.replacement != after.replacement:
            return REPLACEMENT_CHANGES[type(after.replacement), command]
        case Stopping(sessions=2), Stopping(sessions=1):
            return "half"
    return CHANGES[type(after), is_wanted(after), command]


@pytest.mark.parametrize(("table", "events"), TABLES)
def test_the_tables_name_every_state_and_every_event(table: str, events: dict[str, Event]) -> None:
    header, *names = rows(table)

    assert rows(table)[header] == list(events)
    assert names == list(STATES)


def test_the_driver_has_a_state_and_an_event_of_every_kind() -> None:
    assert {type(state) for state in STATES.values()} == set(get_args(State))
    assert {type(event) for event in EVENTS.values()} == set(get_args(Event))


@pytest.mark.parametrize("name", STATES)
def test_external_events_change_a_state_as_in_the_table(name: str) -> None:
    table = rows(EXTERNAL_TABLE)

    assert [cell(STATES[name], event) for event in EXTERNAL_EVENTS.values()] == table[name]


@pytest.mark.parametrize("name", STATES)
def test_requests_change_a_state_as_in_the_table(name: str) -> None:
    assert [cell(STATES[name], event) for event in REQUESTS.values()] == rows(REQUEST_TABLE)[name]


@pytest.mark.parametrize("name", STATES)
def test_session_events_change_a_state_as_in_the_table(name: str) -> None:
    assert [cell(STATES[name], event) for event in SESSION_EVENTS.values()] == rows(SESSION_TABLE)[
        name
    ]


@pytest.mark.parametrize("name", STATES)
def test_replacement_events_change_a_state_as_in_the_table(name: str) -> None:
    assert [cell(STATES[name], event) for event in REPLACEMENT_EVENTS.values()] == rows(
        REPLACEMENT_TABLE
    )[name]


@EACH_STATE
def test_the_session_count_changes_only_when_a_session_is_opened_or_ends(state: State) -> None:
    for name, event in EVENTS.items():
        after, command = step(state, event, NOW, STEADY)
        opened = command in {Command.OPEN_SESSION, Command.OPEN_REPLACEMENT}
        has_ended = isinstance(event, SessionEnded) and session_count(state) > 0
        has_ended |= isinstance(event, ReplacementEnded) and has_other_session(state)

        assert session_count(after) == session_count(state) + opened - has_ended, name
        assert session_count(after) <= 2, name


@EACH_STATE
def test_only_existing_sessions_are_closed_and_only_once(state: State) -> None:
    for name, event in EVENTS.items():
        after, command = step(state, event, NOW, STEADY)
        match command:
            case Command.CLOSE_ALL:
                assert session_count(state) > 0, name
                assert not isinstance(state, Stopping), name
                assert isinstance(after, Stopping), name
            case Command.CLOSE_REPLACEMENT:
                assert isinstance(replacement_of(state), Draining), name
                assert replacement_of(after) == Closing(), name


@EACH_STATE
def test_only_a_connecting_or_draining_session_takes_over(state: State) -> None:
    for name, event in EVENTS.items():
        _, command = step(state, event, NOW, STEADY)
        if command is Command.SWITCH_SESSIONS:
            assert isinstance(replacement_of(state), ReplacementConnecting | Draining), name
            assert isinstance(event, ReplacementReady | SessionEnded | ConnectionUnhealthy), name


@EACH_STATE
def test_a_replacement_is_opened_only_for_a_single_connected_session(state: State) -> None:
    for name, event in EVENTS.items():
        after, command = step(state, event, NOW, STEADY)
        if command is Command.OPEN_REPLACEMENT:
            assert isinstance(state, Up | Degraded), name
            assert session_count(state) == 1, name
            assert type(after) is type(state), f"{name}: the state stays the same"


@EACH_STATE
def test_a_state_is_wanted_unless_it_is_stopped_or_stopping(state: State) -> None:
    is_unwanted = state in (Stopped(), Stopping(), Stopping(sessions=2))
    assert is_wanted(state) == (not is_unwanted)


@EACH_STATE
def test_a_state_that_follows_a_failure_has_the_failure(state: State) -> None:
    assert (failure_of(state) is not None) == isinstance(state, Degraded | BackingOff | Blocked)


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("stopped", None),
        ("connecting", None),
        ("up, unstable", NOW + 10),
        ("up, gate passed", NOW),
        ("up, stable", NOW + 10),
        ("up, connecting", None),
        ("up, backoff", NOW + 10),
        ("up, gave up", None),
        ("up, draining", NOW + 10),
        ("up, drain timeout", NOW),
        ("up, closing", NOW + 10),
        ("degraded, unstable", NOW + 10),
        ("degraded, expired", NOW),
        ("backoff", NOW + 10),
        ("blocked", NOW + 10),
        ("gave up", None),
        ("stopping", None),
        ("stopping, then start", None),
    ],
)
def test_the_deadline_of_a_state(name: str, at: float | None) -> None:
    assert deadline(STATES[name]) == at
