"""A transport and a channel that carry nothing and record the calls."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters, SocketEndpoint, join

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeTransport(asyncio.Transport):
    """The transport of a SocketEndpoint. calls: the calls in order, and written data."""

    def __init__(self, peername: object = ("192.0.2.7", 50000)) -> None:
        super().__init__({"peername": peername})
        self.calls: list[str | bytes] = []
        self.reading = True
        self.error_at_eof: OSError | None = None

    @property
    def is_over(self) -> bool:
        return "close" in self.calls or "abort" in self.calls

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.calls.append(bytes(data))

    def write_eof(self) -> None:
        if self.error_at_eof is not None:
            raise self.error_at_eof
        self.calls.append("eof")

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: all data is accepted."""

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.is_over

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")


class FakeChannel:
    """The channel of a ChannelEndpoint, with the methods of asyncssh's. calls: as above."""

    def __init__(self) -> None:
        self.calls: list[str | bytes] = []
        self.reading = True
        self.error: Exception | None = None

    def write(self, data: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.calls.append(data)

    def write_eof(self) -> None:
        self.calls.append("eof")

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")


@dataclass(slots=True)
class Endpoints:
    """The open endpoints of a socket and a channel, with the fakes that they use."""

    socket: SocketEndpoint
    channel: ChannelEndpoint
    transport: FakeTransport
    asyncssh_channel: FakeChannel
    counters: Counters = field(default_factory=Counters)


def open_endpoints(on_connected: Callable[[ChannelEndpoint], None] = lambda _: None) -> Endpoints:
    """Return two endpoints that are not joined. on_connected: passed to the ChannelEndpoint."""
    counters = Counters()
    endpoints: Any = Endpoints(
        SocketEndpoint(),
        ChannelEndpoint(counters, on_connected),
        FakeTransport(),
        FakeChannel(),
        counters,
    )
    endpoints.socket.connection_made(endpoints.transport)
    endpoints.channel.connection_made(endpoints.asyncssh_channel)
    opened: Endpoints = endpoints
    return opened


def joined_endpoints() -> Endpoints:
    """Return two joined endpoints."""
    endpoints = open_endpoints()
    join(endpoints.socket, endpoints.channel)
    return endpoints
