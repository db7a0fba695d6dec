"""The line of the log for each change of state."""

from __future__ import annotations

from math import inf

import pytest

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.retries import Tries
from tunnelkeeper.core.states import (
    BackingOff,
    Blocked,
    Connecting,
    Degraded,
    State,
    Stopped,
    Stopping,
    Up,
)
from tunnelkeeper.core.succession import (
    Alone,
    Arriving,
    Delayed,
    Dismissed,
    Leaving,
    Life,
    Second,
)
from tunnelkeeper.daemon.narration import line

NOW = 1000.0
LIFE = Life(NOW, Tries(), NOW + 30, inf)
TRUSTED = Life(NOW, Tries(), inf, inf)
LOST = Failure(Cause.LOST, "connection lost", "me@relay:22")
REFUSED = Failure(Cause.REFUSED, "connection refused", "me@relay:22", "is it running?")
DENIED = Failure(Cause.AUTH, "no key", "me@relay:22")
TAKEN_OVER = "replaced: connected takes over; what is open on the one before it may take 300 s more"
TOO_MANY = Failure(Cause.TOO_MANY_ATTEMPTS, "gave up", "me@relay:22")
BUSY = Failure(Cause.REMOTE_PORT_BUSY, "2222 is taken", "me@relay:22", "end it")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (Stopped(), Connecting(), ("info", "connecting")),
        (Connecting(), Up(LIFE), ("info", "up: connected")),
        (Connecting(Tries(1)), Up(LIFE), ("info", "up: connected after one failed attempt")),
        (Connecting(Tries(7)), Up(LIFE), ("info", "up: connected after 7 failed attempts")),
        (Up(LIFE), Up(TRUSTED), None),
        (Degraded(LIFE, BUSY), Degraded(TRUSTED, BUSY), None),
        (
            Up(LIFE),
            Degraded(LIFE, BUSY),
            ("warning", "degraded: remote_port_busy: me@relay:22: 2222 is taken (end it)"),
        ),
        (Degraded(LIFE, BUSY), Up(LIFE), ("info", "every forward works again")),
        (Connecting(), Blocked(Tries(1), inf, DENIED), ("error", "auth: me@relay:22: no key")),
        (
            Up(LIFE),
            BackingOff(Tries(1), NOW + 1.84, LOST),
            ("warning", "lost: me@relay:22: connection lost; trying again, next in 1.8 s"),
        ),
        (
            BackingOff(Tries(2), NOW, LOST),
            Connecting(Tries(2)),
            ("debug", "connecting, attempt 3"),
        ),
        (
            Connecting(),
            Blocked(Tries(1), NOW + 300, DENIED),
            ("error", "blocked: auth: me@relay:22: no key; trying again in 300 s"),
        ),
        (
            Connecting(),
            Blocked(Tries(3), inf, TOO_MANY),
            ("error", "blocked: too_many_attempts: me@relay:22: gave up"),
        ),
        (Up(LIFE), Stopping(then_start=True), ("info", "closing, to connect anew")),
        (Up(LIFE), Stopping(), None),
        (Stopping(), Stopping(then_start=True), None),
        (Stopping(), Stopped(), ("info", "stopped")),
    ],
)
def test_every_change_has_its_line(
    old: State, new: State, expected: tuple[str, str] | None
) -> None:
    assert line(old, new, NOW, None, None) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            Alone(),
            Arriving(Tries()),
            ("info", "replacing the connection: making another one beside it"),
        ),
        (
            Delayed(Tries(1), NOW, LOST),
            Arriving(Tries(1)),
            ("debug", "replacing the connection, attempt 2"),
        ),
        (
            Arriving(Tries()),
            Leaving(LIFE, NOW + 300),
            (
                "info",
                TAKEN_OVER,
            ),
        ),
        (
            Arriving(Tries()),
            Delayed(Tries(1), NOW + 2, DENIED),
            (
                "warning",
                f"the connection cannot be replaced, and stays: {DENIED}; trying again in 2.0 s",
            ),
        ),
        (
            Leaving(LIFE, NOW + 9),
            Delayed(Tries(1), inf, DENIED),
            (
                "warning",
                f"the new connection ended, and the one before it is used again: {DENIED}",
            ),
        ),
        (Leaving(LIFE, NOW + 9), Dismissed(), None),
        (
            Leaving(LIFE, NOW),
            Dismissed(),
            ("warning", "drain_timeout: what is still open on the old connection is cut off"),
        ),
        (Dismissed(), Alone(), ("info", "the old connection is closed")),
        (Leaving(LIFE, NOW + 9), Alone(), ("info", "the old connection is closed")),
    ],
)
def test_every_step_of_a_replacement_has_its_line(
    old: Second, new: Second, expected: tuple[str, str] | None
) -> None:
    assert line(Up(LIFE, old), Up(TRUSTED, new), NOW, None, None) == expected
    assert line(Degraded(LIFE, BUSY, old), Degraded(LIFE, BUSY, new), NOW, None, None) == expected


def test_a_connection_that_is_lost_while_another_is_on_its_way_is_told() -> None:
    assert line(Up(LIFE, Arriving(Tries())), Connecting(Tries(), LOST), NOW, None, None) == (
        "warning",
        "lost: me@relay:22: connection lost; another connection is on its way already",
    )


def test_a_failure_that_was_told_already_is_for_whoever_looks_closely() -> None:
    again = BackingOff(Tries(2), NOW + 2, REFUSED)

    first = line(Connecting(), again, NOW, None, LOST)
    second = line(Connecting(), again, NOW, None, REFUSED)

    words = "refused: me@relay:22: connection refused (is it running?); trying again, next in 2.0 s"
    assert (first, second) == (("warning", words), ("debug", words))
