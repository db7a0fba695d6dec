"""A local or SOCKS forward with its listener, its clients and its gate."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.ssh.waiting import until
from tunnelkeeper.core.forward_spec import LocalForward, SocksForward, TcpAddress
from tunnelkeeper.forwarding.gate import Gate
from tunnelkeeper.forwarding.local_clients import LocalClients
from tunnelkeeper.forwarding.pump import SocketEndpoint
from tunnelkeeper.net.listener import listen

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from tunnelkeeper.core.forward_spec import Address, LocallyBoundForward
    from tunnelkeeper.forwarding.gate import ChannelOpener
    from tunnelkeeper.forwarding.pump import Counters

ANY_PORT = TcpAddress("127.0.0.1", 0)
KERNEL_BUFFER = 64 * 1024


@dataclass(slots=True)
class Site:
    """A forward that listens on `port`. errors: its messages about failed clients."""

    port: int
    gate: Gate
    counters: Counters
    errors: list[str]


@asynccontextmanager
async def local_site(
    target: Address | None,
    opener: ChannelOpener | None = None,
    hold_timeout: float = 5.0,
    *,
    allow_users: tuple[int, ...] = (),
    password_file: str = "",
) -> AsyncIterator[Site]:
    """Run a local forward, or a SOCKS forward without a target. An opener is passed to its gate."""
    forward: LocallyBoundForward = (
        SocksForward(ANY_PORT, allow_users, password_file)
        if target is None
        else LocalForward(ANY_PORT, target, allow_users)
    )
    gate, errors = Gate(), list[str]()
    if opener is not None:
        gate.open(opener)
    clients = LocalClients(forward, gate, hold_timeout, errors.append)
    accepted: list[SocketEndpoint] = []

    def accept() -> asyncio.Protocol:
        endpoint = clients.accept()
        assert isinstance(endpoint, SocketEndpoint)
        accepted.append(endpoint)
        return endpoint

    listener = await listen(ANY_PORT, accept)
    bound = listener.sockets[0]
    # Accepted sockets inherit this, so that the kernel buffers little in comparison to a window.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
    try:
        yield Site(bound.getsockname()[1], gate, clients.counters, errors)
    finally:
        listener.close()
        for endpoint in accepted:
            endpoint.abort()
        await until(lambda: all(endpoint.is_closed for endpoint in accepted))
