"""The near side of a local or SOCKS forward: clients that connect here and go through SSH."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.core.forwards import LocalForward, LocalSide
from tunnelkeeper.forwarding.pump import ChannelEnd, Counters, SocketEnd, join
from tunnelkeeper.forwarding.socks_stream import SocksStream

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tunnelkeeper.core.forwards import Address, TcpAddress
    from tunnelkeeper.forwarding.gate import Gate
    from tunnelkeeper.forwarding.targets import TargetRefused


@dataclass(slots=True)
class LocalClients:
    """Serves the clients of one forward, in callbacks without a task.

    hold_timeout: seconds a client waits for a connection.
    """

    forward: LocalSide
    gate: Gate
    hold_timeout: float
    on_refused: Callable[[str], None]
    counters: Counters = field(default_factory=Counters)

    def accept(self) -> asyncio.Protocol:
        """The protocol of a client that just connected."""
        return SocketEnd(self._begin)

    def _begin(self, client: SocketEnd) -> None:
        match self.forward:
            case LocalForward(connect=target):
                self._serve(client, target)
            case _:
                self._begin_socks(client)

    def _serve(self, client: SocketEnd, target: Address) -> None:
        def refused(why: TargetRefused) -> None:
            self.on_refused(f"{target}: {why}")
            client.end(clean=False)

        end = ChannelEnd(self.counters, lambda channel: join(client, channel))
        self.gate.open_channel(target, end, client.origin, self.hold_timeout, refused)

    def _begin_socks(self, client: SocketEnd) -> None:
        def requested(target: TcpAddress) -> None:
            self._serve_socks(client, target, conversation)

        conversation = SocksStream(client, requested, self.on_refused)

    def _serve_socks(
        self, client: SocketEnd, target: TcpAddress, conversation: SocksStream
    ) -> None:
        def granted(channel: ChannelEnd) -> None:
            conversation.grant()
            if conversation.leftover:
                channel.feed(conversation.leftover)
            join(client, channel)

        def refused(why: TargetRefused) -> None:
            self.on_refused(f"{target}: {why}")
            conversation.refuse(why.outcome)

        end = ChannelEnd(self.counters, granted)
        self.gate.open_channel(target, end, client.origin, self.hold_timeout, refused)
