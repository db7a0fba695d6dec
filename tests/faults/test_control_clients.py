"""Clients of the control socket that behave badly, and reloads in the middle of trouble."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tests.e2e.clients import receive_until_cut
from tests.e2e.ports import free_port
from tests.e2e.site import tunnel_table
from tests.e2e.waiting import wait_until
from tests.faults.proof import BACKOFF, FREE_RETRY, MARGIN, proves, withstands
from tests.faults.witness import SUBSCRIBE

if TYPE_CHECKING:
    from tests.faults.scene import Scene

FORWARDS = 50
"""Of a tunnel whose every event is thereby some kilobytes long."""

EVENTS = 1000


@withstands("a control client subscribes and never reads")
def test_a_control_client_that_never_reads_is_dropped(scene: Scene) -> None:
    forwards = [f"{free_port()}:127.0.0.1:9" for _ in range(FORWARDS)]
    noisy = tunnel_table("noisy", free_port(), f"remote = {forwards}", "autostart = false")
    scene.begins(tables=(noisy,))
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(MARGIN)
        client.connect(str(scene.program.socket))
        client.sendall(SUBSCRIBE)
        descriptors = scene.holds().descriptors
        seen = scene.events()
        while scene.events() < seen + EVENTS:
            scene.program.call("restart", names=["noisy"])
        wait_until(
            lambda: scene.holds().descriptors < descriptors,
            within=MARGIN,
            complaint="the client was not dropped",
        )
        receive_until_cut(client)
    scene.program.call("stop", names=["noisy"])
    scene.stays_up()


@proves(
    "the file is reloaded 100 times while the server is away",
    says=("backoff", "refused"),
    flows=FREE_RETRY + BACKOFF,
)
def test_reloads_while_reconnecting_leave_nothing_behind(scene: Scene) -> None:
    table, other = scene.tunnel(), scene.tunnel(local=(f"{free_port()}:127.0.0.1:9",))
    configs = [scene.site.config(other), scene.site.config(table)]
    scene.starts(scene.site.program(table))
    scene.link.stop_listening()
    scene.link.reset()
    scene.says_so()
    for turn in range(100):
        scene.program.write_config(configs[turn % 2])
        scene.program.call("reload")
    scene.link.listen()
    scene.recovers()
