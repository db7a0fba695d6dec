"""The way to a server, broken and mended by a test that blocks: a proxy in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tests.e2e.ports import free_port
from tests.faults.proxy import Flow, Proxy

if TYPE_CHECKING:
    from tests.faults.background import Background

Direction = Literal["to server", "to client"]
BOTH: tuple[Direction, Direction] = ("to server", "to client")


class Link:
    """A port that leads to the port of a server; what happens on the way is up to the test."""

    def __init__(self, background: Background, server: int, host: str = "127.0.0.1") -> None:
        self.port = free_port()
        self._background = background
        self._proxy = background.enter(Proxy(("127.0.0.1", server), self.port, host))

    @property
    def accepted(self) -> int:
        """How many connections have come."""
        return self._background.call(lambda: self._proxy.accepted)

    def heard(self, direction: Direction) -> int:
        """Return how often the senders of a direction have sent something, held or not."""
        return self._background.call(lambda: self._flows((direction,))[0].heard)

    def hold(self, *directions: Direction) -> None:
        """Silently let nothing through in these directions, or in both."""
        for flow in self._flows(directions):
            self._background.call(flow.hold)

    def go(self) -> None:
        """Let everything through, first what was held."""
        self._background.call(self._proxy.go)

    def forget(self) -> None:
        """Let nothing of the connections through that are there now, ever; new ones go."""
        self._background.call(self._proxy.forget)

    def slow_down(self, rate: float, delay: float = 0.0) -> None:
        """Limit each direction to this many bytes a second, each delayed by this many seconds."""

        def act() -> None:
            for flow in self._flows(()):
                flow.rate, flow.delay = rate, delay

        self._background.call(act)

    def reset(self) -> None:
        """Cut all connections with a reset."""
        self._background.call(self._proxy.reset)

    def close(self) -> None:
        """End all connections cleanly."""
        self._background.call(self._proxy.close)

    def stop_listening(self) -> None:
        """Refuse new connections."""
        self._background.call(self._proxy.stop_listening)

    def listen(self) -> None:
        """Take new connections again."""
        self._background.call(self._proxy.listen)

    def lead_to(self, port: int) -> None:
        """Let new connections go to another server of this machine."""

        def act() -> None:
            self._proxy.server = ("127.0.0.1", port)

        self._background.call(act)

    def _flows(self, directions: tuple[Direction, ...]) -> list[Flow]:
        flows = {"to server": self._proxy.to_server, "to client": self._proxy.to_client}
        return [flows[direction] for direction in directions or BOTH]
