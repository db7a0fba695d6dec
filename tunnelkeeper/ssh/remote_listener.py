"""Listeners on the server: their address, how to close them, and a probe for a refused one.

What a probe's answers mean is decided in ssh.listen_diagnosis.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import asyncssh
from asyncssh.constants import OPEN_CONNECT_FAILED, OPEN_UNKNOWN_CHANNEL_TYPE

from tunnelkeeper.core.forward_spec import EVERY_INTERFACE, Address, TcpAddress, UnixAddress
from tunnelkeeper.ssh.listen_diagnosis import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from asyncssh.channel import SSHChannel
    from asyncssh.listener import SSHListener

    from tunnelkeeper.ssh.transport import ClientTransport

CANCEL_TIMEOUT = 5.0
"""Seconds the server may take to let a port go."""

PROBE_TIMEOUT = 10.0
"""Seconds for one question: a server that connects to an address may meet a silent firewall."""


@dataclass(frozen=True, slots=True)
class RemoteListener:
    """A port or path that the server holds for us."""

    asked: Address
    _listener: SSHListener

    @property
    def address(self) -> Address:
        """Where the server really listens: for port 0 with the port that it chose."""
        match self.asked:
            case TcpAddress(host=host, port=0):
                return TcpAddress(host, self._listener.get_port())
        return self.asked

    async def close(self) -> None:
        """Ask the server to listen no more; connections that are open stay."""
        self._listener.close()
        with suppress(TimeoutError, OSError, asyncssh.Error):
            async with asyncio.timeout(CANCEL_TIMEOUT):
                await self._listener.wait_closed()


@dataclass(frozen=True, slots=True)
class ListenProbe:
    """A refusal.Server. guarded: lets a request be given up, and what still comes be let go."""

    transport: ClientTransport
    guarded: Callable[..., Awaitable[object]]

    @property
    def version(self) -> str:
        """See Server."""
        return str(self.transport.get_extra_info("server_version", ""))

    async def would_listen(self, address: TcpAddress) -> bool:
        """See Server."""
        host = listen_host(address.host)
        if address.port == 0 and self.transport.has_chosen_port_on(host):
            # It does so already. A second such listener could be taken for the first one.
            return True
        asking = self.transport.create_server(_turn_away, host, address.port)
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                listener: SSHListener = await self.guarded(asking, _close)  # type: ignore[assignment]
        except (asyncssh.ChannelListenError, asyncssh.Error, OSError):
            return False
        await RemoteListener(address, listener).close()
        return True

    async def connect(self, address: Address) -> Answer:
        """See Server."""
        opening: Awaitable[object]
        match address:
            case TcpAddress(host=host, port=port):
                opening = self.transport.create_connection(asyncssh.SSHTCPSession, host, port)
            case UnixAddress(path=path):
                opening = self.transport.create_unix_connection(asyncssh.SSHUNIXSession, path)
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                _abort(await self.guarded(opening, _abort))
        except asyncssh.ChannelOpenError as error:
            match error.code:
                case code if code == OPEN_CONNECT_FAILED:
                    return Answer.NOBODY
                case code if code == OPEN_UNKNOWN_CHANNEL_TYPE:
                    return Answer.NO_SUCH_THING
            return Answer.UNKNOWN
        except (asyncssh.Error, OSError):
            return Answer.UNKNOWN
        return Answer.SOMEBODY


def listen_host(host: str) -> str:
    """The address to ask a server for: "" is every interface (RFC 4254 section 7.1)."""
    return "" if host == EVERY_INTERFACE else host


async def _turn_away(*_origin: object) -> NoReturn:
    raise asyncssh.ChannelOpenError(OPEN_CONNECT_FAILED, "nobody is served here")


def _close(listener: SSHListener) -> None:
    listener.close()


def _abort(opened: object) -> None:
    channel: SSHChannel[bytes] = opened[0]  # type: ignore[index]
    channel.abort()
