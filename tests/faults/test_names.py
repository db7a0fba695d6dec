"""Name servers that do not answer, and unreachable addresses: no other tunnel waits for them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.keys import public
from tests.e2e.netns import new_network
from tests.e2e.site import socks_tunnel
from tests.faults.names import deafly
from tests.faults.proof import BACKOFF, FREE_RETRY, MARGIN, NEXT_ADDRESS, proves, withstands
from tests.faults.proxy import Proxy
from tests.faults.scene import QUICK_HOST, Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.site import Site
    from tests.faults.proof import Proof

NAME = "good.test"
"""A name that the machine knows by itself, from its hosts file."""

NOWHERE = "fd77::2"
"""An unused address of the client's own network: what is sent there is lost."""


def begins_deaf(scene: Scene, hosts: str, *lines: str, tables: tuple[str, ...] = ()) -> None:
    """Begin on a machine whose name server never answers, and with these lines in /etc/hosts.

    lines, tables: of the config file, as `scene.begins` takes them.
    """
    scene.site.know(f"[{NAME}]:{scene.link.port}", public(scene.server.host_key))
    program = scene.site.program(scene.tunnel(f'hostname = "{NAME}"', *lines), *tables)
    program.through = deafly(scene.site, scene.background, hosts)
    scene.starts(program)


@pytest.mark.parametrize("others", [1, 20])
@withstands("no name server answers, for 20 other tunnels")
def test_names_without_an_answer_hold_up_no_other(scene: Scene, others: int) -> None:
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
    begins_deaf(scene, f"127.0.0.1 {NAME}\n", tables=tuple(dead))
    scene.program.call("start", group="dead")
    scene.program.wait_for_state("dead0", "backoff", "dns", within=MARGIN)
    scene.carries_data()
    scene.was_never_away()
    scene.link.reset()
    scene.came_up_again(times=1)
    scene.carries_data()
    scene.program.call("stop", group="dead")
    scene.recovers()


@proves(
    "the server's name leads to another address",
    says=("backoff", "refused"),
    flows=FREE_RETRY,
)
def test_a_name_is_asked_for_again_at_each_attempt(scene: Scene) -> None:
    begins_deaf(scene, f"127.0.0.1 {NAME}\n")
    scene.background.enter(Proxy(("127.0.0.1", scene.server.port), scene.link.port, "127.0.0.2"))
    scene.link.stop_listening()
    scene.link.reset()
    scene.says_so()
    [hosts] = scene.site.directory.glob("etc*/hosts")
    hosts.write_text(f"127.0.0.2 {NAME}\n")
    scene.recovers()


@pytest.fixture
def lonely_scene(site: Site, proof: Proof) -> Iterator[Scene]:
    """Set a scene up on a machine whose network drops what is sent to NOWHERE."""
    device, nobody = ("dev", "uplink"), ("lladdr", "02:00:00:00:00:01")
    with new_network() as network:
        machine = network.client
        machine.ip("-6", "address", "add", "fd77::1/64", *device, "nodad")
        machine.ip("-6", "neighbour", "replace", NOWHERE, *nobody, *device, "nud", "permanent")
        with Scene(site, proof, near=machine.entered, far=machine.entered) as scene:
            yield scene


@proves(
    "the server's first address, an IPv6 one, leads nowhere",
    says=("backoff", "lost"),
    flows=BACKOFF + NEXT_ADDRESS,
)
def test_an_address_that_leads_nowhere_delays_the_next_by_a_moment(lonely_scene: Scene) -> None:
    scene = lonely_scene
    # With as long for each address, only a race between them is done within the margin.
    begins_deaf(scene, f"{NOWHERE} {NAME}\n127.0.0.1 {NAME}\n", f"connect_timeout = {4 * MARGIN:g}")
    assert addresses(scene) == [NOWHERE, "127.0.0.1"]
    scene.link.reset()
    scene.says_so()
    scene.recovers()


def addresses(scene: Scene) -> list[str]:
    """Return the addresses of the name on the supervisor's machine, in the order they are tried."""
    command = [*scene.program.through, "getent", "ahosts", NAME]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in said.splitlines() if "STREAM" in line]
