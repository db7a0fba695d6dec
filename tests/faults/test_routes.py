"""Networks that lead nowhere for a while: between machines in network namespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import exchange
from tests.e2e.keys import public
from tests.e2e.netns import RELAY, Network, new_network
from tests.e2e.ports import free_port
from tests.e2e.services import echo
from tests.e2e.site import host_table
from tests.e2e.waiting import wait_until
from tests.faults.background import Background
from tests.faults.link import Link
from tests.faults.proof import (
    BACKOFF,
    CONNECTING,
    FREE_RETRY,
    MARGIN,
    REMOTE_PORT_RETRY,
    UNANSWERED_KEEPALIVES,
    proves,
)
from tests.faults.scene import QUICK_HOST, Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.site import Site
    from tests.faults.proof import Proof


@pytest.fixture
def network() -> Iterator[Network]:
    with new_network() as network:
        yield network


@pytest.fixture
def far_scene(network: Network, site: Site, proof: Proof) -> Iterator[Scene]:
    """Set a scene up whose servers are on another machine."""
    near, far = network.client.entered, network.relay.entered
    with Scene(site, proof, near, far, host=RELAY) as scene:
        yield scene


@proves(
    "the route to the server is gone while connected, and comes back",
    says=("backoff", "unreachable"),
    noticed=UNANSWERED_KEEPALIVES,
    flows=FREE_RETRY,
)
def test_a_route_that_comes_back_is_used_soon(network: Network, far_scene: Scene) -> None:
    scene = far_scene
    scene.begins()
    network.client.ip("route", "delete", RELAY)
    scene.says_so()
    network.client.ip("route", "add", RELAY, "via", "10.77.1.1")
    scene.recovers()


@proves(
    "no host on the route answers, for longer than an attempt",
    says=("backoff", "unreachable"),
    noticed=UNANSWERED_KEEPALIVES + CONNECTING,
    flows=FREE_RETRY,
)
def test_an_unanswered_attempt_costs_the_server_nothing(network: Network, far_scene: Scene) -> None:
    scene = far_scene
    scene.begins()
    with network.client_cut_off():
        scene.says_so("no connection within")
    scene.recovers()


@pytest.fixture
def moving_scene(network: Network, site: Site, proof: Proof) -> Iterator[Scene]:
    """Set a scene up whose program is on the box, which loses its network and changes address."""
    with Scene(site, proof, network.box.entered, network.relay.entered, host=RELAY) as scene:
        yield scene


@proves(
    "the client's network vanishes, and its stale session on the server holds the port",
    says=("degraded", "remote_port_busy"),
    noticed=UNANSWERED_KEEPALIVES + FREE_RETRY,
    flows=REMOTE_PORT_RETRY,
)
def test_a_port_that_a_stale_session_holds_is_taken_when_the_server_ends_that(
    network: Network, moving_scene: Scene
) -> None:
    scene, there = moving_scene, free_port()
    scene.server.kill()
    scene.server.options |= {"ClientAliveInterval": "5", "ClientAliveCountMax": "2"}
    with network.relay.entered():
        scene.server.start()
    with network.box.entered():
        here = scene.site.service(echo)
    scene.begins(f'remote = "{there}:{here}"')
    stale = scene.server.sessions()

    with network.box_cut_off():
        pass
    failure = scene.says_so()

    assert str(there) in failure.message
    assert "ClientAliveInterval" in failure.hint
    scene.carries_data()
    kinds = {f.kind: f.state for f in scene.program.tunnel("t").forwards}
    assert kinds == {"local": "listening", "remote": "failed"}
    wait_until(lambda: not stale & scene.server.sessions(), MARGIN, "the stale session is there")
    scene.recovers()
    with network.relay.entered():
        assert exchange(there, b"the way back") == b"the way back"


@proves(
    "the network of a chain's middle host vanishes",
    says=("backoff", "peer_dead"),
    noticed=UNANSWERED_KEEPALIVES,
    flows=CONNECTING + BACKOFF,
)
def test_a_middle_host_whose_network_vanishes_is_the_one_that_is_named(
    network: Network, far_scene: Scene
) -> None:
    scene, there = far_scene, network.box_address
    with network.relay.entered():
        first = scene.link_to(scene.site.sshd())
    with network.box.entered(), Background() as on_the_box:
        server = scene.site.sshd()
        middle = Link(on_the_box, server.port, there)
        scene.site.know(f"[{there}]:{middle.port}", public(server.host_key))
        chain = {"first": (RELAY, first.port), "middle": (there, middle.port)}
        tables = [
            host_table(name, port, *QUICK_HOST).replace("127.0.0.1", address)
            for name, (address, port) in chain.items()
        ]
        scene.begins('jump = ["first", "middle"]', tables=tuple(tables))

        with network.box_cut_off():
            failure = scene.says_so()
        network.box.ip("address", "add", f"{there}/24", "dev", "uplink")

        assert failure.hop.endswith(f"@{there}:{middle.port}")
        scene.recovers()
