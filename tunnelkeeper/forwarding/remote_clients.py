"""Clients of a remote forward: channels that the server opens to us. It never listens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.forward_spec import RemoteForward, RemotelyBoundForward
from tunnelkeeper.core.permit_remote_open import is_permitted
from tunnelkeeper.forwarding.connect_target import connect_endpoint
from tunnelkeeper.forwarding.counted_socket import CountedSocket
from tunnelkeeper.forwarding.local_clients import ignore
from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters, join
from tunnelkeeper.forwarding.socks_stream import SocksStream
from tunnelkeeper.net.descriptor_pool import DescriptorShare

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.forward_spec import Address, TcpAddress
    from tunnelkeeper.core.permit_remote_open import PermitRules


@dataclass(slots=True)
class RemoteClients:
    """Serves the channels of one remote forward.

    Attributes:
        tasks: Runs the connects to the targets of SOCKS clients.
        on_error: Called with a message for each client that cannot be served.
        on_served: Called for each client that is connected to its target.
        descriptors: The share of the server that opens the channels.
        permits: The targets that SOCKS clients may have.
    """

    forward: RemotelyBoundForward
    tasks: asyncio.TaskGroup
    on_error: Callable[[str], None]
    on_served: Callable[[], None] = ignore
    descriptors: DescriptorShare = field(default_factory=DescriptorShare)
    permits: PermitRules = None
    counters: Counters = field(default_factory=Counters)
    _check_arrival: asyncio.Future[str] | None = None

    def expect_check_channel(self) -> asyncio.Future[str]:
        """Expect the next channel to be that of an end-to-end check, which is not counted.

        Return a future that is done when it arrives. Its result is why the target could not be
        connected; it is empty on success.
        """
        self._check_arrival = asyncio.get_running_loop().create_future()
        return self._check_arrival

    def stop_expecting(self) -> None:
        """Treat every further channel as a client's."""
        self._check_arrival = None

    async def accept(self) -> ChannelEndpoint:
        """Return the session of a channel that the server opens.

        Raises ConnectError. The caller then refuses the channel.
        """
        arrival, self._check_arrival = self._check_arrival, None
        if arrival is None:
            return await self._accept(self.counters)
        try:
            end = await self._accept(Counters())
        except ConnectError as error:
            _set_result(arrival, str(error))
            raise
        _set_result(arrival, "")
        return end

    async def _accept(self, counters: Counters) -> ChannelEndpoint:
        match self.forward:
            case RemoteForward(connect=target):
                try:
                    socket = await self._connect(target, is_check=counters is not self.counters)
                except ConnectError as error:
                    if counters is self.counters:  # a check reports its own failure
                        self.on_error(str(error))
                    raise
                if counters is self.counters:
                    self.on_served()
                return ChannelEndpoint(counters, lambda channel: join(socket, channel))
            case _:
                return ChannelEndpoint(counters, self._begin_socks)

    async def _connect(self, target: Address, *, is_check: bool = False) -> CountedSocket:
        """Connect to a target within the share of the server. A check needs no share.

        Raises ConnectError.
        """
        try:
            place = self.descriptors.occupy() if is_check else self.descriptors.take()
        except OSError as error:
            message = f"{error.strerror}; raise the limit of open files for more"
            raise ConnectError(Reason.RESOURCE_SHORTAGE, message) from error
        socket = CountedSocket()
        try:
            await connect_endpoint(target, socket)
        except BaseException:
            place.release()
            raise
        if not is_check:
            self.descriptors.pool.on_evict(place, partial(self._evict, socket))
        socket.occupy(place)
        return socket

    def _evict(self, socket: CountedSocket) -> None:
        """Close a connection for another forward that has hardly any."""
        socket.evict()
        self.on_error("a connection is closed for another forward: the server has the most")

    def _begin_socks(self, channel: ChannelEndpoint) -> None:
        def on_request(target: TcpAddress) -> None:
            if not is_permitted(self.permits, target):
                self.on_error(f"{target}: not permitted by permit_remote_open (PermitRemoteOpen)")
                socks.reject(Reason.NOT_PERMITTED)
                return
            self.tasks.create_task(self._serve_socks(channel, target, socks))

        socks = SocksStream(channel, on_request, self.on_error)

    async def _serve_socks(
        self, channel: ChannelEndpoint, target: TcpAddress, socks: SocksStream
    ) -> None:
        try:
            socket = await self._connect(target)
        except ConnectError as error:
            self.on_error(str(error))
            socks.reject(error.reason)
            return
        self.on_served()
        socks.grant()
        socket.write(socks.leftover)
        join(socket, channel)


def _set_result(arrival: asyncio.Future[str], message: str) -> None:
    if not arrival.done():  # the check may have timed out
        arrival.set_result(message)
