"""A transport and a channel that carry nothing and record the calls."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters, SocketEndpoint, join

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeTransport(asyncio.Transport):
    """The transport of a SocketEndpoint. done: the calls in order, and written data."""

    def __init__(self, peername: object = ("192.0.2.7", 50000)) -> None:
        super().__init__({"peername": peername})
        self.done: list[str | bytes] = []
        self.reading = True
        self.error_at_eof: OSError | None = None

    @property
    def is_over(self) -> bool:
        return "close" in self.done or "abort" in self.done

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.done.append(bytes(data))

    def write_eof(self) -> None:
        if self.error_at_eof is not None:
            raise self.error_at_eof
        self.done.append("eof")

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.is_over

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")


class FakeChannel:
    """The channel of a ChannelEndpoint, with the methods of asyncssh's. done: as above."""

    def __init__(self) -> None:
        self.done: list[str | bytes] = []
        self.reading = True
        self.error: Exception | None = None

    def write(self, data: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.done.append(data)

    def write_eof(self) -> None:
        self.done.append("eof")

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")


@dataclass(slots=True)
class Ends:
    """The endpoints of a socket and a channel, both open, with the fakes below them."""

    socket: SocketEndpoint
    channel: ChannelEndpoint
    below_socket: FakeTransport
    below_channel: FakeChannel
    counters: Counters = field(default_factory=Counters)


def open_ends(on_connected: Callable[[ChannelEndpoint], None] = lambda _: None) -> Ends:
    """Return two endpoints that are not joined. on_connected: of the channel's."""
    counters = Counters()
    ends: Any = Ends(
        SocketEndpoint(),
        ChannelEndpoint(counters, on_connected),
        FakeTransport(),
        FakeChannel(),
        counters,
    )
    ends.socket.connection_made(ends.below_socket)
    ends.channel.connection_made(ends.below_channel)
    opened: Ends = ends
    return opened


def joined_ends() -> Ends:
    """Return two joined endpoints."""
    ends = open_ends()
    join(ends.socket, ends.channel)
    return ends
