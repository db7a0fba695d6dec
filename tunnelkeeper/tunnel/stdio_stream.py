"""A single stream through a tunnel's connection, for `tunnelkeeper connect` (ssh -W)."""

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
    """Join a connected socket with a channel to a target, and return when both are done.

    early is sent first. confirm is called once the target is reached, before anything is written
    to the socket. Raises ConnectError until then.
    """
    channel = await gate.connect(target, ("", 0), timeout, Counters())
    # Only now: until the target is reached, the socket is the caller's to answer on.
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
    """A socket whose end somebody waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        super().connection_lost(exc)
        self.closed.set()
