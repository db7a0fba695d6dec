from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.control.fakes import REFUSED, RunningServer, a_tunnel
from tunnelkeeper.cli.wait import is_settled
from tunnelkeeper.control.payloads import RemovedEvent, TunnelEvent

if TYPE_CHECKING:
    from tests.cli.conftest import Tool

CONNECTING = a_tunnel("db", "connecting")


def test_wait_returns_at_once_if_the_state_is_reached(tool: Tool, server: RunningServer) -> None:
    assert tool("wait", "db").code == 0

    server.fake.tunnels["db"] = a_tunnel("db", "stopped")
    assert tool("wait", "db", "--for", "down").code == 0


def test_wait_returns_when_every_tunnel_is_up(tool: Tool, server: RunningServer) -> None:
    server.fake.tunnels = {"db": CONNECTING, "web": a_tunnel("web", "backoff")}
    server.publish(
        TunnelEvent(a_tunnel("web")),
        TunnelEvent(a_tunnel("other", "connecting")),
        TunnelEvent(a_tunnel("web", "backoff")),
        TunnelEvent(a_tunnel("db")),
        TunnelEvent(a_tunnel("web")),
        after_subscription=True,
    )
    done = tool("wait", "db", "web", "--timeout", "30")

    assert (done.code, done.out, done.err) == (0, "", "")


def test_a_timeout_exits_with_5_and_the_reason(tool: Tool, server: RunningServer) -> None:
    server.fake.tunnels["db"] = a_tunnel("db", "backoff", failure=REFUSED)
    done = tool("wait", "db", "--timeout", "0.05")

    assert done.code == 5
    assert done.err.splitlines() == [
        "db: backoff: refused: me@relay:22: Connection refused",
        "  hint: is sshd running?",
        "tunnelkeeper: not up within 0.05 s: db",
    ]


def test_tunnels_are_down_when_the_supervisor_exits(tool: Tool, server: RunningServer) -> None:
    server.publish(after_subscription=True, then_shut_down=True)

    assert tool("wait", "db", "--for", "down").code == 0


def test_waiting_for_up_exits_with_3_when_the_supervisor_exits(
    tool: Tool, server: RunningServer
) -> None:
    server.fake.tunnels["db"] = CONNECTING
    server.publish(after_subscription=True, then_shut_down=True)

    assert tool("wait", "db").code == 3


def test_waiting_for_a_removed_tunnel_exits_with_4(tool: Tool, server: RunningServer) -> None:
    server.fake.tunnels["db"] = CONNECTING
    server.publish(RemovedEvent("db"), after_subscription=True)
    done = tool("wait", "db")

    assert done.code == 4
    assert "no longer there: db" in done.err


@pytest.mark.parametrize(
    ("state", "attempt", "settled"),
    [
        ("up", 0, True),
        ("degraded", 0, True),
        ("blocked", 1, True),
        ("stopped", 0, True),
        ("connecting", 3, False),
        ("backoff", 2, False),
        ("backoff", 3, True),
    ],
)
def test_a_start_is_settled_when_the_tunnel_is_up_or_keeps_failing(
    state: str, attempt: int, settled: bool
) -> None:
    assert is_settled(a_tunnel(state=state, attempt=attempt)) is settled
