"""Whether a tunnel has come up, or cannot without a person."""

from __future__ import annotations

import pytest

from tests.control.fakes import a_forward, a_tunnel
from tunnelkeeper.core.failures import Cause
from tunnelkeeper.core.first_connection import cannot_come_up, has_come_up
from tunnelkeeper.core.snapshot import FailureSnapshot


def failed_forward(cause: Cause) -> object:
    failure = FailureSnapshot(cause, "", "message", "", "2026-11-22T12:00:00Z")
    return a_forward(state="failed", failure=failure)


@pytest.mark.parametrize("state", ["up", "degraded"])
def test_a_connected_tunnel_whose_forwards_listen_has_come_up(state: str) -> None:
    forwards = [failed_forward(Cause.CHECK_FAILED)] if state == "degraded" else [a_forward()]
    tunnel = a_tunnel(state=state, forwards=forwards)

    assert has_come_up(tunnel)
    assert not cannot_come_up(tunnel)


@pytest.mark.parametrize("state", ["connecting", "backoff", "stopped"])
def test_a_tunnel_that_tries_again_can_come_up(state: str) -> None:
    assert not has_come_up(a_tunnel(state=state))
    assert not cannot_come_up(a_tunnel(state=state))


def test_a_blocked_tunnel_cannot_come_up() -> None:
    assert cannot_come_up(a_tunnel(state="blocked"))


@pytest.mark.parametrize(
    "cause", [Cause.LOCAL_PORT_BUSY, Cause.REMOTE_PORT_BUSY, Cause.FORWARD_DENIED]
)
@pytest.mark.parametrize("state", ["connecting", "degraded"])
def test_a_forward_that_cannot_listen_keeps_the_tunnel_from_coming_up(
    state: str, cause: Cause
) -> None:
    tunnel = a_tunnel(state=state, forwards=[failed_forward(cause)])

    assert cannot_come_up(tunnel)
    assert not has_come_up(tunnel)
