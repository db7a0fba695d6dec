"""Changes of routes and routing rules end the wait of a tunnel, whatever their type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.netns import new_network
from tests.e2e.sandbox import Sandbox, socks_tunnel
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    import socket

UNDONE = (
    "route add 10.6.0.0/24 via 10.77.1.1",
    "route add unreachable 10.7.0.1",
    "route add blackhole 10.7.0.2",
    "route add prohibit default metric 9",
    "route add throw 10.7.0.3",
    "route add local 10.7.0.4 dev lo",
    "rule add to 10.8.0.0/24 table 100",
    "rule add from 10.8.0.0/24 prohibit",
    "-6 route add unreachable fd77::/16",
    "-6 rule add to fd78::/16 table 100",
)
"""Commands of iproute2 that are undone afterwards."""

LOSING = ("route del 10.77.0.1", "route add unreachable 10.77.0.1")
"""The first command removes the only route. The network is lost, and changes once more."""


class ClosingServer:
    """A service that closes each connection, after which a tunnel waits. attempts: their number."""

    def __init__(self) -> None:
        self.attempts = 0

    def serve(self, connection: socket.socket) -> None:
        connection.recv(1)
        self.attempts += 1

    def wait_for_attempt(self, number: int, after: str) -> None:
        wait_until(lambda: self.attempts == number, message=after)


def test_every_change_of_routing_ends_a_wait(sandbox: Sandbox) -> None:
    with new_network() as network, network.client.entered():
        server = ClosingServer()
        hour = "backoff = { initial = 3600, factor = 1, max = 3600, jitter = 0 }"
        program = sandbox.program(socks_tunnel("t", sandbox.service(server.serve).port, hour))
        program.up()
        server.wait_for_attempt(1, "up")
        commands = [each for add in UNDONE for each in (add, add.replace(" add ", " del "))]
        for number, command in enumerate((*commands, *LOSING), start=2):
            program.wait_for_state("t", "backoff")

            network.client.ip(*command.split())

            server.wait_for_attempt(number, command)
        program.stop()
