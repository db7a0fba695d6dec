"""The log message for each state transition."""

from __future__ import annotations

from math import inf

import pytest

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.retry_policy import FailedAttempts
from tunnelkeeper.core.states import (
    BackingOff,
    Blocked,
    Closing,
    Connecting,
    Degraded,
    Draining,
    LiveConnection,
    NoReplacement,
    Replacement,
    ReplacementBackoff,
    ReplacementConnecting,
    State,
    Stopped,
    Stopping,
    Up,
)
from tunnelkeeper.tunnel.log_messages import LogMessage, transition_message

NOW = 1000.0
LIFE = LiveConnection(NOW, FailedAttempts(), NOW + 30, inf)
TRUSTED = LiveConnection(NOW, FailedAttempts(), inf, inf)
LOST = Failure(Cause.LOST, "connection lost", "me@relay:22")
REFUSED = Failure(Cause.REFUSED, "connection refused", "me@relay:22", "is it running?")
DENIED = Failure(Cause.AUTH, "no key", "me@relay:22")
TAKEN_OVER = (
    "replaced: connected takes over; open channels of the old connection have 300 s to finish"
)
TOO_MANY = Failure(Cause.TOO_MANY_ATTEMPTS, "gave up", "me@relay:22")
BUSY = Failure(Cause.REMOTE_PORT_BUSY, "2222 is taken", "me@relay:22", "end it")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (Stopped(), Connecting(), LogMessage("info", "connecting")),
        (Connecting(), Up(LIFE), LogMessage("info", "up: connected")),
        (
            Connecting(FailedAttempts(1)),
            Up(LIFE),
            LogMessage("info", "up: connected after one failed attempt"),
        ),
        (
            Connecting(FailedAttempts(7)),
            Up(LIFE),
            LogMessage("info", "up: connected after 7 failed attempts"),
        ),
        (Up(LIFE), Up(TRUSTED), None),
        (Degraded(LIFE, BUSY), Degraded(TRUSTED, BUSY), None),
        (
            Up(LIFE),
            Degraded(LIFE, BUSY),
            LogMessage(
                "warning", "degraded: remote_port_busy: me@relay:22: 2222 is taken", "end it"
            ),
        ),
        (Degraded(LIFE, BUSY), Up(LIFE), LogMessage("info", "every forward works again")),
        (
            Connecting(),
            Blocked(FailedAttempts(1), inf, DENIED),
            LogMessage("error", "auth: me@relay:22: no key"),
        ),
        (
            Up(LIFE),
            BackingOff(FailedAttempts(1), NOW + 1.84, LOST),
            LogMessage(
                "warning", "lost: me@relay:22: connection lost; trying again, next in 1.8 s"
            ),
        ),
        (
            BackingOff(FailedAttempts(2), NOW, LOST),
            Connecting(FailedAttempts(2)),
            LogMessage("debug", "connecting, attempt 3"),
        ),
        (
            Connecting(),
            Blocked(FailedAttempts(1), NOW + 300, DENIED),
            LogMessage("error", "blocked: auth: me@relay:22: no key; trying again in 300 s"),
        ),
        (
            Connecting(),
            Blocked(FailedAttempts(3), inf, TOO_MANY),
            LogMessage("error", "blocked: too_many_attempts: me@relay:22: gave up"),
        ),
        (
            Up(LIFE),
            Stopping(then_start=True),
            LogMessage("info", "closing the connection to reconnect"),
        ),
        (Up(LIFE), Stopping(), None),
        (Stopping(), Stopping(then_start=True), None),
        (Stopping(), Stopped(), LogMessage("info", "stopped")),
    ],
)
def test_every_transition_has_its_message(
    old: State, new: State, expected: LogMessage | None
) -> None:
    assert transition_message(old, new, NOW, None, None) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            NoReplacement(),
            ReplacementConnecting(FailedAttempts()),
            LogMessage("info", "replacing the connection: opening a new one beside it"),
        ),
        (
            ReplacementBackoff(FailedAttempts(1), NOW, LOST),
            ReplacementConnecting(FailedAttempts(1)),
            LogMessage("debug", "replacing the connection, attempt 2"),
        ),
        (
            ReplacementConnecting(FailedAttempts()),
            Draining(LIFE, NOW + 300),
            LogMessage(
                "info",
                TAKEN_OVER,
            ),
        ),
        (
            ReplacementConnecting(FailedAttempts()),
            ReplacementBackoff(FailedAttempts(1), NOW + 2, DENIED),
            LogMessage(
                "warning",
                f"the connection cannot be replaced, and stays: {DENIED}; trying again in 2.0 s",
            ),
        ),
        (
            Draining(LIFE, NOW + 9),
            ReplacementBackoff(FailedAttempts(1), inf, DENIED),
            LogMessage(
                "warning",
                f"the new connection ended, and the old one is used again: {DENIED}",
            ),
        ),
        (Draining(LIFE, NOW + 9), Closing(), None),
        (
            Draining(LIFE, NOW),
            Closing(),
            LogMessage("warning", "drain_timeout: closing the open channels of the old connection"),
        ),
        (Closing(), NoReplacement(), LogMessage("info", "the old connection is closed")),
        (
            Draining(LIFE, NOW + 9),
            NoReplacement(),
            LogMessage("info", "the old connection is closed"),
        ),
    ],
)
def test_every_step_of_a_replacement_has_its_message(
    old: Replacement, new: Replacement, expected: LogMessage | None
) -> None:
    assert transition_message(Up(LIFE, old), Up(TRUSTED, new), NOW, None, None) == expected
    assert (
        transition_message(Degraded(LIFE, BUSY, old), Degraded(LIFE, BUSY, new), NOW, None, None)
        == expected
    )


def test_a_connection_lost_during_its_replacement_is_logged() -> None:
    assert transition_message(
        Up(LIFE, ReplacementConnecting(FailedAttempts())),
        Connecting(FailedAttempts(), LOST),
        NOW,
        None,
        None,
    ) == LogMessage(
        "warning",
        "lost: me@relay:22: connection lost; another connection is on its way already",
    )


def test_a_repeated_failure_is_logged_at_debug_level() -> None:
    backing_off = BackingOff(FailedAttempts(2), NOW + 2, REFUSED)

    first = transition_message(Connecting(), backing_off, NOW, None, LOST)
    second = transition_message(Connecting(), backing_off, NOW, None, REFUSED)

    text = "refused: me@relay:22: connection refused; trying again, next in 2.0 s"
    assert first == LogMessage("warning", text, "is it running?")
    assert second == LogMessage("debug", text, "is it running?")
