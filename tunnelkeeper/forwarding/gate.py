"""Where the clients of a tunnel's local ports wait while its connection is away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.forwarding.pump import ChannelEndpoint, PauseReason

if TYPE_CHECKING:
    from tunnelkeeper.core.forward_spec import Address
    from tunnelkeeper.forwarding.pump import Counters

OnError = Callable[[ConnectError], None]
"""Told why no channel comes."""


class ChannelOpener(Protocol):
    """An SSH connection, as far as forwarding is concerned."""

    @property
    def is_closed(self) -> bool:
        """Whether it has ended: what failed on it may be tried on the next."""

    def open_channel(
        self, target: Address, end: ChannelEndpoint, origin: tuple[str, int], on_error: OnError
    ) -> None:
        """Open a channel to a target seen from the server, with `end` as its session.

        Either end.connection_made or refused is called, once, now or later.
        """


class _Stopped:
    """Where the gate of a stopped tunnel leads: whoever waits or comes is turned away at once."""

    is_closed = False

    def open_channel(
        self, target: Address, end: ChannelEndpoint, origin: tuple[str, int], on_error: OnError
    ) -> None:
        """Open nothing."""
        on_error(ConnectError(Reason.FAILED, "the tunnel is stopped"))


STOPPED: ChannelOpener = _Stopped()


async def wait_for_channel(
    opening: Callable[[ChannelEndpoint, OnError], None], counters: Counters
) -> ChannelEndpoint:
    """Wait for a channel; what comes out of it is held back until it is released or joined.

    Raises ConnectError.
    """
    outcome: asyncio.Future[ChannelEndpoint] = asyncio.get_running_loop().create_future()

    def made(channel: ChannelEndpoint) -> None:
        channel.pause_reading(PauseReason.NO_PEER)
        if outcome.done():  # nobody waits for it any more
            channel.abort()
        else:
            outcome.set_result(channel)

    def refused(why: ConnectError) -> None:
        if not outcome.done():
            outcome.set_exception(why)

    opening(ChannelEndpoint(counters, made), refused)
    return await outcome


@dataclass(slots=True, eq=False)
class _Client:
    """Who wants a channel, and until when (the loop's time) it waits for a connection."""

    target: Address
    end: ChannelEndpoint
    origin: tuple[str, int]
    on_error: OnError
    deadline: float


class Gate:
    """Holds clients until there is a connection, each for its own patience (seconds)."""

    def __init__(self) -> None:
        self._opener: ChannelOpener | None = None
        self._waiting: dict[_Client, asyncio.TimerHandle] = {}

    def open(self, opener: ChannelOpener) -> None:
        """Let clients through to a connection, in the order in which they came."""
        self._opener = opener
        waiting, self._waiting = self._waiting, {}
        for client, patience in waiting.items():
            patience.cancel()
            self._forward(client)

    def shut(self) -> None:
        """Hold clients from now on."""
        self._opener = None

    @property
    def connection(self) -> ChannelOpener | None:
        """Where clients go now; None while they are held, and where there is no tunnel."""
        return None if self._opener is STOPPED else self._opener

    def close_if(self, opener: ChannelOpener) -> None:
        """Hold clients, if this is the connection that they go to: it ends."""
        if self._opener is opener:
            self.shut()

    def open_channel(
        self,
        target: Address,
        end: ChannelEndpoint,
        origin: tuple[str, int],
        timeout: float,
        on_error: OnError,
    ) -> None:
        """Open a channel on this connection or, while patience lasts, on the next.

        Either end.connection_made or refused is called, once, now or later.
        """
        until = asyncio.get_running_loop().time() + timeout
        self._forward(_Client(target, end, origin, on_error, until))

    async def connect(
        self, target: Address, origin: tuple[str, int], timeout: float, counters: Counters
    ) -> ChannelEndpoint:
        """Wait for a channel, as `reach` does. Raises ConnectError."""

        def opening(end: ChannelEndpoint, refused: OnError) -> None:
            self.open_channel(target, end, origin, timeout, refused)

        return await wait_for_channel(opening, counters)

    def _forward(self, client: _Client) -> None:
        opener = self._opener
        if opener is None:
            self._hold(client)
            return

        def refused(why: ConnectError) -> None:
            if not opener.is_closed:
                client.on_error(why)
                return
            self.close_if(opener)  # its end may not be known here yet
            self._forward(client)

        opener.open_channel(client.target, client.end, client.origin, refused)

    def _hold(self, client: _Client) -> None:
        loop = asyncio.get_running_loop()
        if client.deadline <= loop.time():
            self._reject(client)
        else:
            self._waiting[client] = loop.call_at(client.deadline, self._reject, client)

    def _reject(self, client: _Client) -> None:
        self._waiting.pop(client, None)
        words = "the tunnel's connection is away"
        client.on_error(ConnectError(Reason.FAILED, words))
