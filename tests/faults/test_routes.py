"""Networks that lead nowhere for a while: between machines in network namespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.netns import RELAY, Network, new_network
from tests.faults.proof import CONNECTING, FREE_RETRY, UNANSWERED_KEEPALIVES, proves
from tests.faults.scene import Scene

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
    """A scene whose servers are on another machine."""
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
    "nobody on the way answers or says a word, for longer than an attempt",
    says=("backoff", "unreachable"),
    noticed=UNANSWERED_KEEPALIVES + CONNECTING,
    flows=FREE_RETRY,
)
def test_an_attempt_that_nobody_answers_costs_the_server_nothing(
    network: Network, far_scene: Scene
) -> None:
    scene = far_scene
    scene.begins()
    with network.client_cut_off():
        scene.says_so("no connection within")
    scene.recovers()
