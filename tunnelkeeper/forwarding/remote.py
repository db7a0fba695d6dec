"""The near side of a remote forward: channels that the server opens and that end up here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.core.forwards import RemoteForward, RemoteSide
from tunnelkeeper.forwarding.pump import ChannelEnd, Counters, SocketEnd, join
from tunnelkeeper.forwarding.socks_stream import SocksStream
from tunnelkeeper.forwarding.targets import TargetRefused, connect_here

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tunnelkeeper.core.forwards import TcpAddress


@dataclass(slots=True)
class RemoteClients:
    """Serves the channels of one remote forward.

    tasks owns what connects a SOCKS client's target; on_refused is told what could not be reached.
    """

    forward: RemoteSide
    tasks: asyncio.TaskGroup
    on_refused: Callable[[str], None]
    counters: Counters = field(default_factory=Counters)

    async def accept(self) -> ChannelEnd:
        """The session of a channel that the server opens.

        Raises TargetRefused: the server is told that the channel cannot be opened.
        """
        match self.forward:
            case RemoteForward(connect=target):
                socket = SocketEnd()
                try:
                    await connect_here(target, socket)
                except TargetRefused as refusal:
                    self.on_refused(str(refusal))
                    raise
                return ChannelEnd(self.counters, lambda channel: join(socket, channel))
            case _:
                return ChannelEnd(self.counters, self._begin_socks)

    def _begin_socks(self, channel: ChannelEnd) -> None:
        def requested(target: TcpAddress) -> None:
            self.tasks.create_task(self._serve_socks(channel, target, conversation))

        conversation = SocksStream(channel, requested, self.on_refused)

    async def _serve_socks(
        self, channel: ChannelEnd, target: TcpAddress, conversation: SocksStream
    ) -> None:
        socket = SocketEnd()
        try:
            await connect_here(target, socket)
        except TargetRefused as refusal:
            self.on_refused(str(refusal))
            conversation.refuse(refusal.outcome)
            return
        conversation.grant()
        socket.feed(conversation.leftover)
        join(socket, channel)
