"""The near side of a local or SOCKS forward: clients that connect here and go through SSH."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.core.forward_spec import LocalForward, LocallyBoundForward
from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters, SocketEndpoint, join
from tunnelkeeper.forwarding.socks_stream import SocksStream

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tunnelkeeper.core.connect_error import ConnectError
    from tunnelkeeper.core.forward_spec import Address, TcpAddress
    from tunnelkeeper.forwarding.gate import Gate


@dataclass(slots=True)
class LocalClients:
    """Serves the clients of one forward, in callbacks without a task.

    hold_timeout: seconds a client waits for a connection.
    """

    forward: LocallyBoundForward
    gate: Gate
    hold_timeout: float
    on_refused: Callable[[str], None]
    counters: Counters = field(default_factory=Counters)

    def accept(self) -> asyncio.Protocol:
        """The protocol of a client that just connected."""
        return SocketEndpoint(self._begin)

    def _begin(self, client: SocketEndpoint) -> None:
        match self.forward:
            case LocalForward(connect=target):
                self._serve(client, target)
            case _:
                self._begin_socks(client)

    def _serve(self, client: SocketEndpoint, target: Address) -> None:
        def refused(why: ConnectError) -> None:
            self.on_refused(f"{target}: {why}")
            client.abort()

        end = ChannelEndpoint(self.counters, lambda channel: join(client, channel))
        self.gate.open_channel(target, end, client.origin, self.hold_timeout, refused)

    def _begin_socks(self, client: SocketEndpoint) -> None:
        def requested(target: TcpAddress) -> None:
            self._serve_socks(client, target, conversation)

        conversation = SocksStream(client, requested, self.on_refused)

    def _serve_socks(
        self, client: SocketEndpoint, target: TcpAddress, conversation: SocksStream
    ) -> None:
        def granted(channel: ChannelEndpoint) -> None:
            conversation.grant()
            if conversation.leftover:
                channel.write(conversation.leftover)
            join(client, channel)

        def refused(why: ConnectError) -> None:
            self.on_refused(f"{target}: {why}")
            conversation.reject(why.reason)

        end = ChannelEndpoint(self.counters, granted)
        self.gate.open_channel(target, end, client.origin, self.hold_timeout, refused)
