"""One stream through a tunnel's connection, for `tunnelkeeper connect` (ssh -W)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tunnelkeeper.forwarding.pump import Counters, SocketEndpoint, join

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from tunnelkeeper.core.forward_spec import Address
    from tunnelkeeper.forwarding.gate import Gate


async def relay_stream(
    sock: socket.socket,
    initial_data: bytes,
    on_connected: Callable[[], None],
    gate: Gate,
    target: Address,
    timeout: float,
) -> None:
    """Relay between a connected socket and a channel to a target until both are closed.

    Args:
        sock: The connected socket of the client.
        initial_data: Data that the client has already sent.
        on_connected: Called once the target is reached, before anything is written to the socket.
        gate: The gate of the tunnel, which provides the connection.
        target: The address that the server connects to.
        timeout: Seconds to wait for the tunnel's connection.

    Raises:
        ConnectError: The target cannot be reached. on_connected has not been called.
    """
    channel = await gate.connect(target, ("", 0), timeout, Counters())
    # Until the target is reached, the caller answers on the socket.
    on_connected()
    if initial_data:
        channel.write(initial_data)
    client = _ClientEndpoint()
    try:
        await asyncio.get_running_loop().create_connection(lambda: client, sock=sock)
    except BaseException:
        channel.abort()
        raise
    join(client, channel)
    await client.closed.wait()


class _ClientEndpoint(SocketEndpoint):
    """A socket endpoint with an event for its end."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        """Set the event."""
        super().connection_lost(exc)
        self.closed.set()
