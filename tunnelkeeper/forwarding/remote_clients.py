"""The near side of a remote forward: channels that the server opens and that end up here."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.core.connect_error import ConnectError
from tunnelkeeper.core.forward_spec import RemoteForward, RemotelyBoundForward
from tunnelkeeper.forwarding.connect_target import connect_here
from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters, SocketEndpoint, join
from tunnelkeeper.forwarding.socks_stream import SocksStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.forward_spec import TcpAddress


@dataclass(slots=True)
class RemoteClients:
    """Serves the channels of one remote forward.

    tasks owns what connects a SOCKS client's target; on_refused is told what could not be reached.
    """

    forward: RemotelyBoundForward
    tasks: asyncio.TaskGroup
    on_refused: Callable[[str], None]
    counters: Counters = field(default_factory=Counters)
    _expected: asyncio.Future[str] | None = None

    def expect(self) -> asyncio.Future[str]:
        """Take the next channel for one that we made ourselves: it is not counted.

        The result comes with it: why the target could not be reached, or nothing.
        """
        self._expected = asyncio.get_running_loop().create_future()
        return self._expected

    def expect_no_more(self) -> None:
        """Whatever comes from now on is a client's."""
        self._expected = None

    async def accept(self) -> ChannelEndpoint:
        """The session of a channel that the server opens.

        Raises ConnectError: the server is told that the channel cannot be opened.
        """
        arrival, self._expected = self._expected, None
        if arrival is None:
            return await self._accept(self.counters)
        try:
            end = await self._accept(Counters())
        except ConnectError as refusal:
            _tell(arrival, str(refusal))
            raise
        _tell(arrival, "")
        return end

    async def _accept(self, counters: Counters) -> ChannelEndpoint:
        match self.forward:
            case RemoteForward(connect=target):
                socket = SocketEndpoint()
                try:
                    await connect_here(target, socket)
                except ConnectError as refusal:
                    if counters is self.counters:  # a check speaks for itself
                        self.on_refused(str(refusal))
                    raise
                return ChannelEndpoint(counters, lambda channel: join(socket, channel))
            case _:
                return ChannelEndpoint(counters, self._begin_socks)

    def _begin_socks(self, channel: ChannelEndpoint) -> None:
        def requested(target: TcpAddress) -> None:
            self.tasks.create_task(self._serve_socks(channel, target, conversation))

        conversation = SocksStream(channel, requested, self.on_refused)

    async def _serve_socks(
        self, channel: ChannelEndpoint, target: TcpAddress, conversation: SocksStream
    ) -> None:
        socket = SocketEndpoint()
        try:
            await connect_here(target, socket)
        except ConnectError as refusal:
            self.on_refused(str(refusal))
            conversation.reject(refusal.reason)
            return
        conversation.grant()
        socket.write(conversation.leftover)
        join(socket, channel)


def _tell(arrival: asyncio.Future[str], words: str) -> None:
    if not arrival.done():  # nobody waits any more, else
        arrival.set_result(words)
