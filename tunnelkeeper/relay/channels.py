"""The channels of one client: those it opened, and those to it for who came to a place it holds.

It opens channels and joins their ends; whether they may be is decided before.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import asyncssh

from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.forward_spec import UnixAddress
from tunnelkeeper.core.text import printable
from tunnelkeeper.forwarding.pump import (
    ChannelEndpoint,
    Counters,
    PauseReason,
    SocketEndpoint,
    join,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.relay.registry import Binding
    from tunnelkeeper.relay.transport import ServerTransport

log = logging.getLogger(__name__)

Origin = tuple[str, int]
"""Where one who came to a place comes from; of a Unix socket, nothing."""


class Channels:
    """The channels of a transport. traffic: bytes_in came from its client."""

    def __init__(self, transport: ServerTransport) -> None:
        self.traffic = Counters()
        self._transport = transport

    def to_socket(self, target: SocketEndpoint) -> ChannelEndpoint:
        """The session of a channel that the client opens to a target which is connected.

        Raises ConnectError when the client has left meanwhile.
        """
        if self._transport.is_closed():
            target.abort()
            raise client_left_error()
        endpoint = ChannelEndpoint(self.traffic, lambda channel: join(target, channel))
        self._transport.register(endpoint)
        return endpoint

    async def to_binding(self, binding: Binding, origin: Origin) -> ChannelEndpoint:
        """The session of a channel that the client opens to a name which another one holds.

        Raises ConnectError.
        """
        held = await binding.owner.open_channel(binding, origin, _pause)
        if self._transport.is_closed():
            held.abort()
            raise client_left_error()

        def on_open(opened: ChannelEndpoint) -> None:
            # What the client sends waits: it may have its answer before the next turn of the loop.
            _pause(opened)
            asyncio.get_running_loop().call_soon(join, opened, held)

        endpoint = ChannelEndpoint(self.traffic, on_open)
        self._transport.register(endpoint)
        return endpoint

    async def open_channel(
        self, binding: Binding, origin: Origin, on_open: Callable[[ChannelEndpoint], None]
    ) -> ChannelEndpoint:
        """A channel to the client for one who came to a place that it holds.

        Raises ConnectError.
        """
        endpoint = ChannelEndpoint(self.traffic, on_open)

        def on_gone() -> None:
            binding.counters.connections -= 1

        def session() -> ChannelEndpoint:
            binding.counters.connections += 1
            binding.counters.connections_total += 1
            self._transport.register(endpoint, on_gone)
            return endpoint

        if self._transport.is_full:
            raise _unreachable(binding, "it has as many channels open as it may")
        try:
            if isinstance(binding.target, UnixAddress):
                await self._transport.open_forwarded_streamlocal(session, binding.target.path)
            else:
                await self._transport.open_forwarded_tcpip(
                    session, binding.host, binding.port, origin
                )
        except asyncssh.ChannelOpenError as error:
            raise _unreachable(binding, f"it says: {printable(error.reason)}") from error
        except (asyncssh.Error, OSError, ValueError) as error:
            raise _unreachable(binding, printable(str(error))) from error
        return endpoint

    def accept(self, binding: Binding, accepted: SocketEndpoint) -> None:
        """Connect one who came to a listener of the client."""
        if self._transport.is_closed():
            accepted.abort()
        else:
            self._transport.start_task(self._connect(binding, accepted))

    async def _connect(self, binding: Binding, accepted: SocketEndpoint) -> None:
        # An exception that left a task of the transport would close it.
        try:
            await self.open_channel(
                binding, accepted.origin, lambda channel: join(accepted, channel)
            )
        except ConnectError as refusal:
            log.info("%s", refusal)
            accepted.abort()
        except Exception:
            log.exception("a fault in serving %s; please report it", binding.target)
            accepted.abort()


def _pause(endpoint: ChannelEndpoint) -> None:
    """Read nothing from a channel until it is joined: a server behind it may send first."""
    endpoint.pause_reading(PauseReason.NO_PEER)


def client_left_error() -> ConnectError:
    """The answer that nobody will hear."""
    return ConnectError(Reason.FAILED, "the client has left")


def _unreachable(binding: Binding, reason: str) -> ConnectError:
    return ConnectError(Reason.FAILED, f"{binding.target}: its client: {reason}")
