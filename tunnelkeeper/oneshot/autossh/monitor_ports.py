"""The local ports of the monitoring loop. The return port is held while the program runs.

It sends nothing and judges no connection; `monitor_loop` does.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import TYPE_CHECKING

from tunnelkeeper.autossh.monitor_protocol import LOCALHOST
from tunnelkeeper.autossh.ssh_command import CommandLineError
from tunnelkeeper.core.message import Message
from tunnelkeeper.net.fd_limits import reserve_fd
from tunnelkeeper.net.listener import adopt
from tunnelkeeper.net.port_owner import PORT_OWNERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.autossh.command_line import Monitor
    from tunnelkeeper.net.listener import Listener


def hold_ports(monitor: Monitor) -> socket.socket | None:
    """Bind the ports of the loop, as autossh does before its first start.

    The forward binds the first port itself as soon as it starts, so it is free again on return.

    Returns:
        The listening socket of the return port, or None for a loop through an echo service.

    Raises:
        CommandLineError: A port cannot be bound. The text names it.
    """
    _bind(monitor.port).close()
    return None if monitor.echo_port is not None else _bind(monitor.port + 1)


def bind_error(port: int, reason: str) -> Message:
    """Return the message for a port that cannot be bound. Its start is autossh's."""
    owner = PORT_OWNERS.owner_of(port)
    listener = f"; {owner} listens on it" if owner else ""
    return Message(
        f"bind on {LOCALHOST}:{port}: {reason}{listener}",
        "-M needs this port: choose another one, or `-M 0` for none",
    )


def _bind(port: int) -> socket.socket:
    try:
        return socket.create_server((LOCALHOST, port))
    except OSError as error:
        reason = os.strerror(error.errno or 0)  # strerror of create_server repeats the address
        if error.errno == errno.EADDRINUSE:
            error_text = bind_error(port, reason)
            raise CommandLineError(error_text.text, error_text.hint) from None
        raise CommandLineError(f"bind on {LOCALHOST}:{port}: {reason}") from None


async def check_loopback(timeout: float) -> None:
    """Connect to this machine without SSH, with as many descriptors as clients leave free.

    Raises:
        OSError: This machine has no loopback network, or is out of resources.
    """
    loop = asyncio.get_running_loop()
    with (
        socket.create_server((LOCALHOST, 0)) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client,
    ):
        listener.setblocking(False)
        client.setblocking(False)
        async with asyncio.timeout(timeout):
            await loop.sock_connect(client, listener.getsockname())
            accepted, _ = await loop.sock_accept(listener)
        with accepted:
            reserve_fd(accepted)


class ReturnPort:
    """The listening return port. `expect` waits for a line from any client.

    Every program of this machine can connect to it. A client that sends something else is closed,
    and does not disturb the others.
    """

    def __init__(self, sock: socket.socket, debug: Callable[[str], None]) -> None:
        self._debug = debug
        self._expected = b""
        self._received: asyncio.Future[None] | None = None
        self._clients: set[_Client] = set()
        self._listener: Listener = adopt([sock], lambda: _Client(self))
        self.accepted = 0

    async def expect(self, line: bytes, timeout: float) -> None:
        """Wait until a client sends the line.

        Raises:
            TimeoutError: No client has sent it in time.
        """
        self._expected = line
        self._received = asyncio.get_running_loop().create_future()
        self.accepted = 0
        try:
            async with asyncio.timeout(timeout):
                await self._received
        finally:
            self._received = None
            self._close_clients()

    def close(self) -> None:
        """Release the port."""
        self._listener.close()
        self._close_clients()

    def _close_clients(self) -> None:
        for client in tuple(self._clients):
            client.abort()

    # -- called by the clients ---------------------------------------------------------------

    def connected(self, client: _Client) -> None:
        """Keep a client while a line is expected."""
        self.accepted += 1
        if self._received is None:
            client.abort()
        else:
            self._clients.add(client)

    def received(self, client: _Client, data: bytes) -> None:
        """Compare the data of a client with the expected line."""
        if self._received is None or (self._expected.startswith(data) and data != self._expected):
            return
        if data != self._expected:
            self._debug(f"not what I sent: {self._expected!r} : {data!r}")
        elif not self._received.done():
            self._received.set_result(None)
        client.abort()

    def disconnected(self, client: _Client) -> None:
        """Forget a client."""
        self._clients.discard(client)


class _Client(asyncio.Protocol):
    """A client of the return port."""

    def __init__(self, port: ReturnPort) -> None:
        self._port = port
        self._transport: asyncio.Transport
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  for mypy
        self._transport = transport
        self._port.connected(self)

    def data_received(self, data: bytes) -> None:
        self._data += data
        self._port.received(self, self._data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._port.disconnected(self)

    def abort(self) -> None:
        """Disconnect."""
        self._transport.abort()
