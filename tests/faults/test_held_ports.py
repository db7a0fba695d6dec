"""Ports that others hold, and targets that refuse: the tunnel and its other forwards work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.clients import connect_and_receive, exchange, is_listening
from tests.e2e.ports import free_port
from tests.e2e.services import echo, sender
from tests.e2e.waiting import wait_until
from tests.faults.expectation import (
    EARLY_RETRY,
    LOCAL_PORT_RETRY,
    MARGIN,
    REMOTE_PORT_RETRY,
    expects,
    withstands,
)

if TYPE_CHECKING:
    from tests.faults.scenario import Scenario

UNUSED_TARGET = "127.0.0.1:9"  # discard (RFC 863): not in use


@expects(
    "another program holds the port on the server",
    status=("degraded", "remote_port_busy"),
    reported_within=EARLY_RETRY,
    recovered_within=REMOTE_PORT_RETRY,
)
def test_a_remote_port_that_another_program_took_is_bound_once_it_is_free(
    scenario: Scenario,
) -> None:
    remote_port = free_port()
    scenario.start_tunnel(f'remote = "{remote_port}:{scenario.service(echo)}"')
    scenario.link.stop_listening()
    scenario.link.reset()
    wait_until(lambda: not is_listening(remote_port), MARGIN, "sshd still holds the port")
    holder = scenario.sandbox.service(sender(b"theirs"), at=remote_port)
    scenario.link.listen()
    scenario.wait_for_expected_status()
    scenario.check_data_flows()
    assert exchange(remote_port) == b"theirs"
    holder.close()
    scenario.check_recovery()
    assert exchange(remote_port, b"ours again") == b"ours again"


@expects(
    "another program holds the local port",
    status=("degraded", "local_port_busy"),
    recovered_within=LOCAL_PORT_RETRY,
)
def test_a_local_port_that_another_program_took_is_bound_once_it_is_free(
    scenario: Scenario,
) -> None:
    local_port = free_port()
    scenario.start_tunnel(local=(f"127.0.0.1:{local_port}:{scenario.service(echo)}",))
    scenario.program.succeed("down", "t")
    holder = scenario.sandbox.service(sender(b"theirs"), at=local_port)
    scenario.program.call("start", names=["t"])
    scenario.wait_for_expected_status()
    scenario.check_data_flows()
    assert exchange(local_port) == b"theirs"
    holder.close()
    scenario.check_recovery()
    assert exchange(local_port, b"ours again") == b"ours again"


@withstands("the target refuses")
def test_a_target_that_refuses_closes_only_that_client(scenario: Scenario) -> None:
    refused = free_port()
    scenario.start_tunnel(local=(f"{refused}:{UNUSED_TARGET}",))
    for _ in range(20):
        assert connect_and_receive(refused) == b""
    scenario.check_stayed_up()
    assert "refused" in scenario.program.succeed("logs", "t")
