"""A socket and a channel that carry nothing and note what is asked of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters, SocketEndpoint, join

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeTransport(asyncio.Transport):
    """The socket below a SocketEnd. done: what was asked, in order, data as it is."""

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
    """The channel below a ChannelEnd, with asyncssh's names."""

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
    """A socket's end and a channel's, both open, and what is below them."""

    socket: SocketEndpoint
    channel: ChannelEndpoint
    below_socket: FakeTransport
    below_channel: FakeChannel
    counters: Counters = field(default_factory=Counters)


def open_ends(on_made: Callable[[ChannelEndpoint], None] = lambda _: None) -> Ends:
    """Two ends that are not joined yet; on_made is the channel's."""
    counters = Counters()
    ends: Any = Ends(
        SocketEndpoint(),
        ChannelEndpoint(counters, on_made),
        FakeTransport(),
        FakeChannel(),
        counters,
    )
    ends.socket.connection_made(ends.below_socket)
    ends.channel.connection_made(ends.below_channel)
    made: Ends = ends
    return made


def joined_ends() -> Ends:
    """Two ends that serve each other."""
    ends = open_ends()
    join(ends.socket, ends.channel)
    return ends
