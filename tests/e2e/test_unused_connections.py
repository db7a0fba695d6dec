"""A server with UnusedConnectionTimeout: its connections are kept in use once that is known."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.e2e.clients import exchange
from tests.e2e.ports import free_port
from tests.e2e.sandbox import tunnel_table
from tests.e2e.services import echo

if TYPE_CHECKING:
    from tests.e2e.sandbox import Sandbox
    from tunnelkeeper.core.snapshot import TunnelSnapshot

TIMEOUT = 6
"""Seconds after which the server closes a connection without channels."""

DEADLINE = 120.0


def is_kept_in_use(tunnel: TunnelSnapshot) -> bool:
    return tunnel.state == "up" and tunnel.hops[-1].unused_timeout is not None


def test_a_connection_of_a_remote_forward_stays_open_after_two_were_closed(
    sandbox: Sandbox,
) -> None:
    server = sandbox.sshd(UnusedConnectionTimeout=str(TIMEOUT))
    service, port = sandbox.service(echo), free_port()
    program = sandbox.program(tunnel_table("t", server.port, f'remote = "{port}:{service}"'))
    program.up()

    kept = program.wait_for("t", is_kept_in_use, within=DEADLINE)
    timeout = kept.hops[-1].unused_timeout
    assert timeout is not None
    assert TIMEOUT - 1 < timeout < TIMEOUT + 5
    assert "closes connections that have no channel after" in program.log()
    assert "this one is kept in use" in program.run("status").stdout
    opened = time.monotonic()

    def has_outlived_the_timeout(tunnel: TunnelSnapshot) -> bool:
        assert tunnel.restarts == kept.restarts, "the server closed the connection again"
        return time.monotonic() - opened > 2 * TIMEOUT

    program.wait_for("t", has_outlived_the_timeout, within=DEADLINE)
    assert exchange(port, b"data") == b"data"
