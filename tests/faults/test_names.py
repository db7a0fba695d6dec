"""Name servers that do not answer, and unreachable addresses: other tunnels are not delayed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.keys import public
from tests.e2e.netns import new_network
from tests.e2e.sandbox import socks_tunnel
from tests.faults.expectation import BACKOFF, EARLY_RETRY, MARGIN, NEXT_ADDRESS, expects, withstands
from tests.faults.proxy import Proxy
from tests.faults.scenario import QUICK_HOST, Scenario
from tests.faults.silent_dns import with_silent_dns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.sandbox import Sandbox
    from tests.faults.expectation import Expectation

NAME = "good.test"
"""A name in the hosts file."""

UNREACHABLE = "fd77::2"
"""An unused address in the client's network; packets to it are lost."""


def start_without_dns(
    scenario: Scenario, hosts: str, *lines: str, tables: tuple[str, ...] = ()
) -> None:
    """Start the tunnel with a name server that never answers and these lines in /etc/hosts.

    lines, tables: of the config file, as `scenario.begins` takes them.
    """
    scenario.sandbox.add_known_host(
        f"[{NAME}]:{scenario.link.port}", public(scenario.server.host_key)
    )
    program = scenario.sandbox.program(scenario.tunnel(f'hostname = "{NAME}"', *lines), *tables)
    program.command_prefix = with_silent_dns(scenario.sandbox, scenario.background, hosts)
    scenario.start_program(program)


@pytest.mark.parametrize("others", [1, 20])
@withstands("no name server answers for 20 other tunnels")
def test_unanswered_name_queries_delay_no_other_tunnel(scenario: Scenario, others: int) -> None:
    dead = [
        socks_tunnel(
            f"dead{number}",
            f"host{number}.test",
            *QUICK_HOST,
            "autostart = false",
            'groups = ["dead"]',
        )
        for number in range(others)
    ]
    start_without_dns(scenario, f"127.0.0.1 {NAME}\n", tables=tuple(dead))
    scenario.program.call("start", group="dead")
    scenario.program.wait_for_state("dead0", "backoff", "dns", within=MARGIN)
    scenario.check_data_flows()
    scenario.check_never_down()
    scenario.link.reset()
    scenario.wait_for_restarts(times=1)
    scenario.check_data_flows()
    scenario.program.call("stop", group="dead")
    scenario.check_recovery()


@expects(
    "the server's name resolves to another address",
    status=("backoff", "refused"),
    recovered_within=EARLY_RETRY,
)
def test_each_attempt_resolves_the_name_again(scenario: Scenario) -> None:
    start_without_dns(scenario, f"127.0.0.1 {NAME}\n")
    scenario.background.enter(
        Proxy(("127.0.0.1", scenario.server.port), scenario.link.port, "127.0.0.2")
    )
    scenario.link.stop_listening()
    scenario.link.reset()
    scenario.wait_for_expected_status()
    [hosts] = scenario.sandbox.directory.glob("etc*/hosts")
    hosts.write_text(f"127.0.0.2 {NAME}\n")
    scenario.check_recovery()


@pytest.fixture
def unreachable_scenario(sandbox: Sandbox, expectation: Expectation) -> Iterator[Scenario]:
    """Set up a scenario on a machine whose network drops packets to UNREACHABLE."""
    device, link_layer = ("dev", "uplink"), ("lladdr", "02:00:00:00:00:01")
    with new_network() as network:
        machine = network.client
        machine.ip("-6", "address", "add", "fd77::1/64", *device, "nodad")
        machine.ip(
            "-6", "neighbour", "replace", UNREACHABLE, *link_layer, *device, "nud", "permanent"
        )
        with Scenario(
            sandbox, expectation, client_location=machine.entered, server_location=machine.entered
        ) as scenario:
            yield scenario


@expects(
    "the server's first address, an IPv6 one, is unreachable",
    status=("backoff", "lost"),
    recovered_within=BACKOFF + NEXT_ADDRESS,
)
def test_an_unreachable_address_delays_the_next_one_only_briefly(
    unreachable_scenario: Scenario,
) -> None:
    scenario = unreachable_scenario
    # With this timeout for each address, only a race between them finishes within the margin.
    start_without_dns(
        scenario, f"{UNREACHABLE} {NAME}\n127.0.0.1 {NAME}\n", f"connect_timeout = {4 * MARGIN:g}"
    )
    assert addresses(scenario) == [UNREACHABLE, "127.0.0.1"]
    scenario.link.reset()
    scenario.wait_for_expected_status()
    scenario.check_recovery()


def addresses(scenario: Scenario) -> list[str]:
    """Return the addresses of the name on the supervisor's machine, in the order they are tried."""
    command = [*scenario.program.command_prefix, "getent", "ahosts", NAME]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in output.splitlines() if "STREAM" in line]
