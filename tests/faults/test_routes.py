"""Networks that are interrupted for a while, between machines in network namespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import exchange
from tests.e2e.keys import public
from tests.e2e.netns import RELAY, Network, new_network
from tests.e2e.ports import free_port
from tests.e2e.sandbox import host_table
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until
from tests.faults.background_loop import BackgroundLoop
from tests.faults.expectation import (
    BACKOFF,
    CONNECT_LIMIT,
    EARLY_RETRY,
    MARGIN,
    REMOTE_PORT_RETRY,
    UNANSWERED_KEEPALIVES,
    expects,
)
from tests.faults.link import Link
from tests.faults.scenario import QUICK_HOST, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.sandbox import Sandbox
    from tests.faults.expectation import Expectation


@pytest.fixture
def network() -> Iterator[Network]:
    with new_network() as network:
        yield network


@pytest.fixture
def remote_scenario(
    network: Network, sandbox: Sandbox, expectation: Expectation
) -> Iterator[Scenario]:
    """Set up a scenario whose servers are on another machine."""
    client, relay = network.client.entered, network.relay.entered
    with Scenario(sandbox, expectation, client, relay, host=RELAY) as scenario:
        yield scenario


@expects(
    "the route to the server is gone while connected, and comes back",
    status=("backoff", "unreachable"),
    reported_within=UNANSWERED_KEEPALIVES,
    recovered_within=EARLY_RETRY,
)
def test_a_tunnel_reconnects_soon_after_its_route_returns(
    network: Network, remote_scenario: Scenario
) -> None:
    scenario = remote_scenario
    scenario.start_tunnel()
    network.client.ip("route", "delete", RELAY)
    scenario.wait_for_expected_status()
    network.client.ip("route", "add", RELAY, "via", "10.77.1.1")
    scenario.check_recovery()


@expects(
    "no host on the route answers, for longer than an attempt",
    status=("backoff", "unreachable"),
    reported_within=UNANSWERED_KEEPALIVES + CONNECT_LIMIT,
    recovered_within=EARLY_RETRY,
)
def test_an_unanswered_attempt_does_not_lengthen_the_delay(
    network: Network, remote_scenario: Scenario
) -> None:
    scenario = remote_scenario
    scenario.start_tunnel()
    with network.client_cut_off():
        scenario.wait_for_expected_status("no connection within")
    scenario.check_recovery()


@pytest.fixture
def moving_scenario(
    network: Network, sandbox: Sandbox, expectation: Expectation
) -> Iterator[Scenario]:
    """Set up a scenario on the box, which loses its network and gets another address."""
    box, relay = network.box.entered, network.relay.entered
    with Scenario(sandbox, expectation, box, relay, host=RELAY) as scenario:
        yield scenario


@expects(
    "the client's network vanishes, and its stale session on the server holds the port",
    status=("degraded", "remote_port_busy"),
    reported_within=UNANSWERED_KEEPALIVES + EARLY_RETRY,
    recovered_within=REMOTE_PORT_RETRY,
)
def test_a_port_held_by_a_stale_session_is_bound_when_the_server_ends_it(
    network: Network, moving_scenario: Scenario
) -> None:
    scenario, remote_port = moving_scenario, free_port()
    scenario.server.kill()
    scenario.server.options |= {"ClientAliveInterval": "5", "ClientAliveCountMax": "2"}
    with network.relay.entered():
        scenario.server.start()
    with network.box.entered():
        service = scenario.sandbox.service(echo)
    scenario.start_tunnel(f'remote = "{remote_port}:{service}"')
    stale = scenario.server.sessions()

    with network.box_cut_off():
        pass
    failure = scenario.wait_for_expected_status()

    assert str(remote_port) in failure.message
    assert "ClientAliveInterval" in failure.hint
    scenario.check_data_flows()
    kinds = {f.kind: f.state for f in scenario.program.tunnel("t").forwards}
    assert kinds == {"local": "listening", "remote": "failed"}
    wait_until(
        lambda: not stale & scenario.server.sessions(), MARGIN, "the stale session still runs"
    )
    scenario.check_recovery()
    with network.relay.entered():
        assert exchange(remote_port, b"from the relay") == b"from the relay"


@expects(
    "the network of a chain's middle host vanishes",
    status=("backoff", "peer_dead"),
    reported_within=UNANSWERED_KEEPALIVES,
    recovered_within=CONNECT_LIMIT + BACKOFF,
)
def test_the_failure_names_a_middle_host_whose_network_vanished(
    network: Network, remote_scenario: Scenario
) -> None:
    scenario, box_address = remote_scenario, network.box_address
    with network.relay.entered():
        first = scenario.link_to(scenario.sandbox.sshd())
    with network.box.entered(), BackgroundLoop() as on_the_box:
        server = scenario.sandbox.sshd()
        middle = Link(on_the_box, server.port, box_address)
        scenario.sandbox.add_known_host(f"[{box_address}]:{middle.port}", public(server.host_key))
        chain = {"first": (RELAY, first.port), "middle": (box_address, middle.port)}
        tables = [
            host_table(name, port, *QUICK_HOST).replace("127.0.0.1", address)
            for name, (address, port) in chain.items()
        ]
        scenario.start_tunnel('jump = ["first", "middle"]', tables=tuple(tables))

        with network.box_cut_off():
            failure = scenario.wait_for_expected_status()
        network.box.ip("address", "add", f"{box_address}/24", "dev", "uplink")

        assert failure.hop.endswith(f"@{box_address}:{middle.port}")
        scenario.check_recovery()
