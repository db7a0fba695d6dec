"""What a fault test expects, as a value: it drives the test and is a row of docs/reliability.md."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tunnelkeeper.core.configuration import Keepalive
from tunnelkeeper.core.retry_policy import NO_HANDSHAKE_MAX_DELAY
from tunnelkeeper.net.happy_eyeballs import STAGGER
from tunnelkeeper.tunnel.local_forward import LOCAL_RETRY_INTERVAL
from tunnelkeeper.tunnel.remote_forward import REMOTE_RETRY_DELAYS

KEEPALIVE = Keepalive(interval=1, count_max=3)
CONNECT_TIMEOUT = 5.0
BACKOFF_MAX = 2.0
"""The configuration of the tunnels in the fault tests, short enough for tests to take seconds."""

MARGIN = 30.0
"""Seconds that a test allows beyond each bound, since the machine may be slow and busy."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A time that follows from the configuration.

    text: its formula, for the document. seconds: its value in the tests.
    """

    text: str
    seconds: float

    def __add__(self, other: Bound) -> Bound:
        return Bound(f"{self.text} + {other.text}", self.seconds + other.seconds)


AT_ONCE = Bound("at once", 0.0)
NOTHING_TO_REPORT = Bound("nothing to report", 0.0)
NEVER_DOWN = Bound("never interrupted", 0.0)
UNANSWERED_KEEPALIVES = Bound(
    "`keepalive_interval * (keepalive_count_max + 1)`",
    KEEPALIVE.interval * (KEEPALIVE.count_max + 1),
)
CONNECT_LIMIT = Bound("`connect_timeout`", CONNECT_TIMEOUT)
EARLY_RETRY = Bound(f"{NO_HANDSHAKE_MAX_DELAY:g} s", NO_HANDSHAKE_MAX_DELAY)
BACKOFF = Bound("the delay of `backoff`", BACKOFF_MAX)
ON_RESTART = Bound("at once on `restart`", 0.0)
LOCAL_PORT_RETRY = Bound(f"{LOCAL_RETRY_INTERVAL:g} s", LOCAL_RETRY_INTERVAL)
REMOTE_PORT_RETRY = Bound(f"{REMOTE_RETRY_DELAYS[-1]:g} s", REMOTE_RETRY_DELAYS[-1])
NEXT_ADDRESS = Bound(f"{STAGGER:g} s", STAGGER)


@dataclass(frozen=True, slots=True)
class Expectation:
    """A fault, the status it must lead to, and the bounds for reporting and recovery.

    fault: a description. status: the state and the cause, ("backoff", "peer_dead"), or the state
    alone. reported_within: counts from the fault. recovered_within: counts from its end, until
    data flows again.
    """

    fault: str
    status: tuple[str, ...]
    reported_within: Bound = AT_ONCE
    recovered_within: Bound = AT_ONCE

    @property
    def row(self) -> tuple[str, str, str, str]:
        """The cells of the table row."""
        status = ": ".join(f"`{part}`" for part in self.status)
        return self.fault, status, self.reported_within.text, self.recovered_within.text


def expects(
    fault: str,
    *,
    status: tuple[str, ...],
    reported_within: Bound = AT_ONCE,
    recovered_within: Bound = AT_ONCE,
) -> pytest.MarkDecorator:
    """Mark a test with the fault it causes and the status and bounds it expects."""
    return pytest.mark.expects(Expectation(fault, status, reported_within, recovered_within))


def withstands(fault: str) -> pytest.MarkDecorator:
    """Mark a test of a fault that must not take the tunnel down or damage other data."""
    return expects(
        fault, status=("up",), reported_within=NOTHING_TO_REPORT, recovered_within=NEVER_DOWN
    )
