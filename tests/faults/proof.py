"""What a fault test proves, as a value: it drives the test and is a row of docs/reliability.md."""

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
"""What the tunnels of the fault tests are configured with, so that tests take seconds."""

MARGIN = 30.0
"""Seconds that a test allows beyond each bound: the machine may be slow and busy with others."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A time that follows from the configuration: in words, and in seconds as the tests have it."""

    words: str
    seconds: float

    def __add__(self, other: Bound) -> Bound:
        return Bound(f"{self.words} + {other.words}", self.seconds + other.seconds)


AT_ONCE = Bound("at once", 0.0)
NOTHING_TO_NOTICE = Bound("nothing to notice", 0.0)
NEVER_AWAY = Bound("it never stops", 0.0)
UNANSWERED_KEEPALIVES = Bound(
    "`keepalive_interval * (keepalive_count_max + 1)`",
    KEEPALIVE.interval * (KEEPALIVE.count_max + 1),
)
CONNECTING = Bound("`connect_timeout`", CONNECT_TIMEOUT)
FREE_RETRY = Bound(f"{NO_HANDSHAKE_MAX_DELAY:g} s", NO_HANDSHAKE_MAX_DELAY)
BACKOFF = Bound("the wait of `backoff`", BACKOFF_MAX)
ON_RESTART = Bound("at once on `restart`", 0.0)
LOCAL_PORT_RETRY = Bound(f"{LOCAL_RETRY_INTERVAL:g} s", LOCAL_RETRY_INTERVAL)
REMOTE_PORT_RETRY = Bound(f"{REMOTE_RETRY_DELAYS[-1]:g} s", REMOTE_RETRY_DELAYS[-1])
NEXT_ADDRESS = Bound(f"{STAGGER:g} s", STAGGER)


@dataclass(frozen=True, slots=True)
class Proof:
    """A fault; what status says of it, and by when; by when data flows again once it is over.

    fault: in words. says: the state and the cause, or the state alone: ("backoff", "peer_dead").
    """

    fault: str
    says: tuple[str, ...]
    noticed: Bound = AT_ONCE
    flows: Bound = AT_ONCE

    @property
    def row(self) -> tuple[str, str, str, str]:
        """The cells of its row in the table."""
        says = ": ".join(f"`{word}`" for word in self.says)
        return self.fault, says, self.noticed.words, self.flows.words


def proves(
    fault: str, *, says: tuple[str, ...], noticed: Bound = AT_ONCE, flows: Bound = AT_ONCE
) -> pytest.MarkDecorator:
    """Mark a test with what it proves."""
    return pytest.mark.proves(Proof(fault, says, noticed, flows))


def withstands(fault: str) -> pytest.MarkDecorator:
    """Mark a test of a fault that leaves the tunnel up and all other data intact."""
    return proves(fault, says=("up",), noticed=NOTHING_TO_NOTICE, flows=NEVER_AWAY)
