"""Listeners on the server: their address, their closing, and the probe of a refused one.

What a probe's results mean is decided in ssh.listen_diagnosis.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import asyncssh
from asyncssh.constants import OPEN_CONNECT_FAILED, OPEN_UNKNOWN_CHANNEL_TYPE
from msgspec import Struct

from tunnelkeeper.core.forward_spec import EVERY_INTERFACE, Address, TcpAddress, UnixAddress
from tunnelkeeper.ssh.listen_diagnosis import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from asyncssh.channel import SSHChannel

    from tunnelkeeper.ssh.forwarded_channels import ServerListener
    from tunnelkeeper.ssh.transport import ClientTransport

CANCEL_TIMEOUT = 5.0
"""Seconds the server may take to stop listening."""

PROBE_TIMEOUT = 10.0
"""Seconds for one probe. The server may connect to an address behind a silent firewall."""


class RemoteListener(Struct, frozen=True):
    """A port or path that the server listens on for us."""

    requested: Address
    _listener: ServerListener

    @property
    def address(self) -> Address:
        """The address that the server listens on. For port 0 it has the port that was chosen."""
        match self.requested:
            case TcpAddress(host=host, port=0):
                return TcpAddress(host, self._listener.get_port())
        return self.requested

    async def close(self) -> None:
        """Ask the server to stop listening. Open connections stay."""
        self._listener.close()
        with suppress(TimeoutError, OSError, asyncssh.Error):
            async with asyncio.timeout(CANCEL_TIMEOUT):
                await self._listener.wait_closed()


class ListenProbe(Struct, frozen=True):
    """Probes a server, as listen_diagnosis.Server describes it.

    Attributes:
        shielded_request: Runs a request that can be cancelled, and discards a late result.
    """

    transport: ClientTransport
    shielded_request: Callable[..., Awaitable[object]]

    @property
    def version(self) -> str:
        """The server's identification."""
        return str(self.transport.get_extra_info("server_version", ""))

    async def can_listen(self, address: TcpAddress) -> bool:
        """Return whether the server listens on the address now; close the listener again."""
        host = listen_host(address.host)
        if address.port == 0 and self.transport.has_server_chosen_port(host):
            # That listener proves it.
            return True
        request = self.transport.create_server(_reject, host, address.port)
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                listener: ServerListener = await self.shielded_request(request, _close)  # type: ignore[assignment]
        except (asyncssh.ChannelListenError, asyncssh.Error, OSError):
            return False
        await RemoteListener(address, listener).close()
        return True

    async def connect(self, address: Address) -> Answer:
        """Connect to the address from the server; close the connection again."""
        opening: Awaitable[object]
        match address:
            case TcpAddress(host=host, port=port):
                opening = self.transport.create_connection(asyncssh.SSHTCPSession, host, port)
            case UnixAddress(path=path):
                opening = self.transport.create_unix_connection(asyncssh.SSHUNIXSession, path)
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                _abort(await self.shielded_request(opening, _abort))
        except asyncssh.ChannelOpenError as error:
            match error.code:
                case code if code == OPEN_CONNECT_FAILED:
                    return Answer.NOT_LISTENING
                case code if code == OPEN_UNKNOWN_CHANNEL_TYPE:
                    return Answer.UNSUPPORTED
            return Answer.UNKNOWN
        except (asyncssh.Error, OSError):
            return Answer.UNKNOWN
        return Answer.LISTENING


def listen_host(host: str) -> str:
    """Return the address to request: "" is every interface (RFC 4254 section 7.1)."""
    return "" if host == EVERY_INTERFACE else host


async def _reject(*_origin: object) -> NoReturn:
    raise asyncssh.ChannelOpenError(OPEN_CONNECT_FAILED, "this listener serves no connections")


def _close(listener: ServerListener) -> None:
    listener.close()


def _abort(opened: object) -> None:
    channel: SSHChannel[bytes] = opened[0]  # type: ignore[index]
    channel.abort()
