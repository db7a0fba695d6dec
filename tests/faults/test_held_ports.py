"""Ports that others hold, and targets that refuse: the tunnel itself stays, and does the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.clients import connect_and_receive, exchange, is_listening
from tests.e2e.ports import free_port
from tests.e2e.services import echo, sender
from tests.e2e.waiting import wait_until
from tests.faults.proof import (
    FREE_RETRY,
    LOCAL_PORT_RETRY,
    MARGIN,
    REMOTE_PORT_RETRY,
    proves,
    withstands,
)

if TYPE_CHECKING:
    from tests.faults.scene import Scene

NOBODY = "127.0.0.1:9"  # discard (RFC 863): not in use


@proves(
    "another program holds the port on the server",
    says=("degraded", "remote_port_busy"),
    noticed=FREE_RETRY,
    flows=REMOTE_PORT_RETRY,
)
def test_a_remote_port_that_was_taken_meanwhile_is_taken_back(scene: Scene) -> None:
    there = free_port()
    scene.begins(f'remote = "{there}:{scene.service(echo)}"')
    scene.link.stop_listening()
    scene.link.reset()
    wait_until(lambda: not is_listening(there), MARGIN, "sshd still holds the port")
    thief = scene.site.service(sender(b"mine"), at=there)
    scene.link.listen()
    scene.says_so()
    scene.carries_data()
    assert exchange(there) == b"mine"
    thief.close()
    scene.recovers()
    assert exchange(there, b"ours again") == b"ours again"


@proves(
    "another program holds the local port",
    says=("degraded", "local_port_busy"),
    flows=LOCAL_PORT_RETRY,
)
def test_a_local_port_that_was_taken_meanwhile_is_taken_back(scene: Scene) -> None:
    here = free_port()
    scene.begins(local=(f"127.0.0.1:{here}:{scene.service(echo)}",))
    scene.program.succeed("down", "t")
    thief = scene.site.service(sender(b"mine"), at=here)
    scene.program.call("start", names=["t"])
    scene.says_so()
    scene.carries_data()
    assert exchange(here) == b"mine"
    thief.close()
    scene.recovers()
    assert exchange(here, b"ours again") == b"ours again"


@withstands("the target refuses")
def test_a_target_that_refuses_ends_that_client_and_no_more(scene: Scene) -> None:
    refused = free_port()
    scene.begins(local=(f"{refused}:{NOBODY}",))
    for _ in range(20):
        assert connect_and_receive(refused) == b""
    scene.stays_up()
    assert "refused" in scene.program.succeed("logs", "t")
