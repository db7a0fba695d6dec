"""Clients of a local or SOCKS forward: they connect here and go through SSH. It never listens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.core.forward_spec import LocalForward, LocallyBoundForward, SocksForward
from tunnelkeeper.forwarding.client_users import LimitedClient
from tunnelkeeper.forwarding.counted_socket import CountedSocket
from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters, SocketEndpoint, join
from tunnelkeeper.forwarding.socks_passwords import PasswordFile, Passwords
from tunnelkeeper.forwarding.socks_stream import SocksStream
from tunnelkeeper.net.descriptor_pool import DescriptorShare

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tunnelkeeper.core.connect_error import ConnectError
    from tunnelkeeper.core.forward_spec import Address, TcpAddress
    from tunnelkeeper.forwarding.gate import Gate
    from tunnelkeeper.forwarding.socks import Authenticate


def ignore(*_: object) -> None:
    """Do nothing."""


@dataclass(slots=True)
class LocalClients:
    """Serves the clients of one forward in callbacks, without a task for each.

    Attributes:
        hold_timeout: Seconds that a client waits for a connection.
        on_error: Called with a message for each client that cannot be served.
        on_served: Called for each client that is connected to its target.
        on_denied: Called before on_error if the server forbids the connection.
        descriptors: The share of these clients; they wait while it is used up.
    """

    forward: LocallyBoundForward
    gate: Gate
    hold_timeout: float
    on_error: Callable[[str], None]
    on_served: Callable[[], None] = ignore
    on_denied: Callable[[Address, ConnectError], None] = ignore
    descriptors: DescriptorShare = field(default_factory=DescriptorShare)
    counters: Counters = field(default_factory=Counters)
    _passwords: PasswordFile = field(init=False)

    def __post_init__(self) -> None:
        file = self.forward.password_file if isinstance(self.forward, SocksForward) else ""
        self._passwords = PasswordFile(file)

    def accept(self) -> asyncio.Protocol:
        """Return the protocol of a client that has just connected."""
        client = (
            LimitedClient(self.forward.allow_users, self._begin, self.on_error)
            if self.forward.allow_users
            else CountedSocket(self._begin)
        )
        client.occupy(self.descriptors.occupy())
        return client

    def _begin(self, client: SocketEndpoint) -> None:
        match self.forward:
            case LocalForward(connect=target):
                self._serve(client, target)
            case SocksForward(password_file=""):
                self._begin_socks(client, None)
            case _:
                self._begin_socks_with_password(client)

    def _serve(self, client: SocketEndpoint, target: Address) -> None:
        def on_connected(channel: ChannelEndpoint) -> None:
            self.on_served()
            join(client, channel)

        def on_error(error: ConnectError) -> None:
            self._report(target, error)
            client.abort()

        end = ChannelEndpoint(self.counters, on_connected)
        self.gate.open_channel(target, end, client.origin, self.hold_timeout, on_error)

    def _begin_socks_with_password(self, client: SocketEndpoint) -> None:
        def on_read(passwords: Passwords) -> None:
            if not client.is_closed:
                self._begin_socks(client, passwords.accept)

        def on_error(message: str) -> None:
            self.on_error(message)
            client.abort()

        self._passwords.read(on_read, on_error)

    def _begin_socks(self, client: SocketEndpoint, authenticate: Authenticate | None) -> None:
        def on_request(target: TcpAddress) -> None:
            self._serve_socks(client, target, socks)

        socks = SocksStream(client, on_request, self.on_error, authenticate)

    def _serve_socks(self, client: SocketEndpoint, target: TcpAddress, socks: SocksStream) -> None:
        def on_connected(channel: ChannelEndpoint) -> None:
            self.on_served()
            socks.grant()
            if socks.leftover:
                channel.write(socks.leftover)
            join(client, channel)

        def on_error(error: ConnectError) -> None:
            self._report(target, error)
            socks.reject(error.reason)

        end = ChannelEndpoint(self.counters, on_connected)
        self.gate.open_channel(target, end, client.origin, self.hold_timeout, on_error)

    def _report(self, target: Address, error: ConnectError) -> None:
        if error.is_denied:
            self.on_denied(target, error)
        self.on_error(f"{target}: {error}")
