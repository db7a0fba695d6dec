"""Control clients that do not read, and reloads while a server is unreachable."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tests.e2e.clients import receive_until_cut
from tests.e2e.ports import free_port
from tests.e2e.sandbox import tunnel_table
from tests.e2e.waiting import wait_until
from tests.faults.expectation import BACKOFF, EARLY_RETRY, MARGIN, expects, withstands
from tests.faults.status_watcher import SUBSCRIBE

if TYPE_CHECKING:
    from tests.faults.scenario import Scenario

FORWARDS = 50
"""Forwards of a tunnel; they make each of its events some kilobytes long."""

EVENTS = 1000


@withstands("a control client subscribes and never reads")
def test_a_control_client_that_never_reads_is_dropped(scenario: Scenario) -> None:
    forwards = [f"{free_port()}:127.0.0.1:9" for _ in range(FORWARDS)]
    noisy = tunnel_table("noisy", free_port(), f"remote = {forwards}", "autostart = false")
    scenario.start_tunnel(tables=(noisy,))
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(MARGIN)
        client.connect(str(scenario.program.socket))
        client.sendall(SUBSCRIBE)
        descriptors = scenario.footprint().descriptors
        count = scenario.event_count()
        while scenario.event_count() < count + EVENTS:
            scenario.program.call("restart", names=["noisy"])
        wait_until(
            lambda: scenario.footprint().descriptors < descriptors,
            within=MARGIN,
            message="the client was not dropped",
        )
        receive_until_cut(client)
    scenario.program.call("stop", names=["noisy"])
    scenario.check_stayed_up()


@expects(
    "the file is reloaded 100 times while the server is unreachable",
    status=("backoff", "refused"),
    recovered_within=EARLY_RETRY + BACKOFF,
)
def test_reloads_while_reconnecting_leave_nothing_behind(scenario: Scenario) -> None:
    table, other = scenario.tunnel(), scenario.tunnel(local=(f"{free_port()}:127.0.0.1:9",))
    configs = [scenario.sandbox.config(other), scenario.sandbox.config(table)]
    scenario.start_program(scenario.sandbox.program(table))
    scenario.link.stop_listening()
    scenario.link.reset()
    scenario.wait_for_expected_status()
    for number in range(100):
        scenario.program.write_config(configs[number % 2])
        scenario.program.call("reload")
    scenario.link.listen()
    scenario.check_recovery()
