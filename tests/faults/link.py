"""A connection path to a server that a blocking test can break: a proxy in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tests.e2e.ports import free_port
from tests.faults.proxy import Flow, Proxy

if TYPE_CHECKING:
    from tests.faults.background_loop import BackgroundLoop

Direction = Literal["to server", "to client"]
BOTH: tuple[Direction, Direction] = ("to server", "to client")


class Link:
    """A port that forwards to a server's port and injects the faults that a test asks for."""

    def __init__(self, background: BackgroundLoop, server: int, host: str = "127.0.0.1") -> None:
        self.port = free_port()
        self._background = background
        self._proxy = background.enter(Proxy(("127.0.0.1", server), self.port, host))

    @property
    def accepted(self) -> int:
        """The number of connections accepted so far."""
        return self._background.call(lambda: self._proxy.accepted)

    def send_count(self, direction: Direction) -> int:
        """Return how many chunks the senders of a direction have sent, held or not."""
        return self._background.call(lambda: self._flows((direction,))[0].reads)

    def hold(self, *directions: Direction) -> None:
        """Silently hold back all data in these directions, by default in both."""
        for flow in self._flows(directions):
            self._background.call(flow.hold)

    def resume(self) -> None:
        """Forward data again, first the data that was held back."""
        self._background.call(self._proxy.resume)

    def forget_connections(self) -> None:
        """Hold back the data of all current connections for good; new connections work."""
        self._background.call(self._proxy.forget_connections)

    def slow_down(self, rate: float, delay: float = 0.0) -> None:
        """Limit each direction to this many bytes a second, and delay it by this many seconds."""

        def act() -> None:
            for flow in self._flows(()):
                flow.rate, flow.delay = rate, delay

        self._background.call(act)

    def reset(self) -> None:
        """Reset all connections."""
        self._background.call(self._proxy.reset)

    def close(self) -> None:
        """Close all connections cleanly."""
        self._background.call(self._proxy.close)

    def stop_listening(self) -> None:
        """Refuse new connections."""
        self._background.call(self._proxy.stop_listening)

    def listen(self) -> None:
        """Accept new connections again."""
        self._background.call(self._proxy.listen)

    def redirect_to(self, port: int) -> None:
        """Forward new connections to another server on this machine."""

        def act() -> None:
            self._proxy.server = ("127.0.0.1", port)

        self._background.call(act)

    def _flows(self, directions: tuple[Direction, ...]) -> list[Flow]:
        flows = {"to server": self._proxy.to_server, "to client": self._proxy.to_client}
        return [flows[direction] for direction in directions or BOTH]
