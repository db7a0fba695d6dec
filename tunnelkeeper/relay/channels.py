"""The channels of one client: those it opens, and those opened to it for its bindings.

It opens channels and joins endpoints. `policy` has already decided whether they are allowed.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

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
from tunnelkeeper.net.descriptor_pool import ShareUsedUpError
from tunnelkeeper.net.out_of_memory import end_if_out_of_memory
from tunnelkeeper.ssh.errors import describe
from tunnelkeeper.ssh.memory_budget import MemoryShortageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.budget import Account
    from tunnelkeeper.forwarding.counted_socket import CountedSocket
    from tunnelkeeper.net.descriptor_pool import DescriptorShare, Place
    from tunnelkeeper.relay.registry import Binding
    from tunnelkeeper.relay.transport import ServerTransport

log = logging.getLogger(__name__)

Origin = tuple[str, int]
"""The originator's host and port (RFC 4254 section 7.2); empty for a Unix socket."""


class Channels:
    """The channels of a transport.

    traffic: bytes_in counts bytes from the client. descriptors: the client's share of them.
    """

    def __init__(
        self,
        transport: ServerTransport,
        descriptors: DescriptorShare,
        log_failure: Callable[[str], None],
    ) -> None:
        self.traffic = Counters()
        self._log_failure = log_failure
        self._transport = transport
        self._descriptors = descriptors

    def to_socket(self, target: SocketEndpoint) -> ChannelEndpoint:
        """Return the session of a channel from the client to a connected socket.

        Raises ConnectError if the client has disconnected meanwhile.
        """
        if self._transport.is_closed():
            target.abort()
            raise client_left_error()
        endpoint = ChannelEndpoint(self.traffic, lambda channel: join(target, channel))
        self._transport.register(endpoint)
        return endpoint

    async def to_binding(self, binding: Binding, origin: Origin) -> ChannelEndpoint:
        """Return the session of a channel from the client to a name that another client has bound.

        Raises ConnectError.
        """
        # The visitor pays for both channels: otherwise it could exhaust the budget of the other.
        payer = self._transport.account
        held = await binding.owner.open_channel(binding, origin, _pause, payer)
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
        self,
        binding: Binding,
        origin: Origin,
        on_open: Callable[[ChannelEndpoint], None],
        payer: Account[Any] | None = None,
    ) -> ChannelEndpoint:
        """Open a channel to the client for a connection to one of its bindings.

        payer: the account that its memory counts for; None for that of the client. Raises
        ConnectError.
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
            raise _unreachable(binding, "its channel limit is reached")
        try:
            if isinstance(binding.target, UnixAddress):
                await self._transport.open_forwarded_streamlocal(session, binding.target.path)
            else:
                await self._transport.open_forwarded_tcpip(
                    session, binding.host, binding.port, origin, payer
                )
        except MemoryShortageError as error:
            message = f"{binding.target}: {error.reason}"
            raise ConnectError(Reason.RESOURCE_SHORTAGE, message) from error
        except asyncssh.ChannelOpenError as error:
            raise _unreachable(binding, f"refused: {printable(error.reason)}") from error
        except (asyncssh.Error, OSError, ValueError) as error:
            raise _unreachable(binding, describe(error)) from error
        return endpoint

    def accept(self, binding: Binding, accepted: CountedSocket) -> None:
        """Open a channel to the client for an accepted connection."""
        self.occupy(accepted, self._descriptors.occupy(), binding.owner)
        if self._transport.is_closed():
            accepted.abort()
        else:
            self._transport.start_task(self._connect(binding, accepted))

    def occupy(self, socket: CountedSocket, place: Place, client: object) -> None:
        """Let a socket hold a place, which another client may get if it has hardly any."""

        def evict() -> None:
            log.warning("%s has the most descriptors: it loses one to another client", client)
            socket.evict()

        self._descriptors.pool.on_evict(place, evict)
        socket.occupy(place)

    def check_visitor(self, binding: Binding) -> None:
        """Raise ShareUsedUpError while clients that come to a binding have to wait, as in sshd."""
        try:
            self._descriptors.make_room()
        except ShareUsedUpError as error:
            message = f"{binding.target} of {binding.owner}: {error.strerror}"
            raise ShareUsedUpError(error.errno, message) from None

    async def _connect(self, binding: Binding, accepted: SocketEndpoint) -> None:
        # asyncssh closes the transport if an exception leaves one of its tasks.
        try:
            await self.open_channel(
                binding, accepted.origin, lambda channel: join(accepted, channel)
            )
        except ConnectError as refusal:
            self._log_failure(str(refusal))
            accepted.abort()
        except Exception:
            end_if_out_of_memory()
            log.exception("forwarding a connection to %s failed; please report it", binding.target)
            accepted.abort()


def _pause(endpoint: ChannelEndpoint) -> None:
    """Read nothing from a channel until it is joined: a server behind it may send first."""
    endpoint.pause_reading(PauseReason.NO_PEER)


def client_left_error() -> ConnectError:
    """Return the error for a request of a disconnected client; it is never sent."""
    return ConnectError(Reason.FAILED, "the client has disconnected")


def _unreachable(binding: Binding, reason: str) -> ConnectError:
    return ConnectError(Reason.FAILED, f"{binding.target}: client: {reason}")
