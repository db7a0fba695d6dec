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

Refused = Callable[[ConnectError], None]
"""Told why no channel comes."""


class Opener(Protocol):
    """An SSH connection, as far as forwarding is concerned."""

    @property
    def is_closed(self) -> bool:
        """Whether it has ended: what failed on it may be tried on the next."""

    def open_channel(
        self, target: Address, end: ChannelEndpoint, origin: tuple[str, int], refused: Refused
    ) -> None:
        """Open a channel to a target seen from the server, with `end` as its session.

        Either end.connection_made or refused is called, once, now or later.
        """


class _Stopped:
    """Where the gate of a stopped tunnel leads: whoever waits or comes is turned away at once."""

    is_closed = False

    def open_channel(
        self, target: Address, end: ChannelEndpoint, origin: tuple[str, int], refused: Refused
    ) -> None:
        """Open nothing."""
        refused(ConnectError(Reason.FAILED, "the tunnel is stopped"))


STOPPED: Opener = _Stopped()


async def reach(
    opening: Callable[[ChannelEndpoint, Refused], None], counters: Counters
) -> ChannelEndpoint:
    """Wait for a channel; what comes out of it is held back until it is released or joined.

    Raises ConnectError.
    """
    outcome: asyncio.Future[ChannelEndpoint] = asyncio.get_running_loop().create_future()

    def made(channel: ChannelEndpoint) -> None:
        channel.pause_reading(PauseReason.ALONE)
        if outcome.done():  # nobody waits for it any more
            channel.end(clean=False)
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
    refused: Refused
    until: float


class Gate:
    """Holds clients until there is a connection, each for its own patience (seconds)."""

    def __init__(self) -> None:
        self._opener: Opener | None = None
        self._waiting: dict[_Client, asyncio.TimerHandle] = {}

    def open(self, opener: Opener) -> None:
        """Let clients through to a connection, in the order in which they came."""
        self._opener = opener
        waiting, self._waiting = self._waiting, {}
        for client, patience in waiting.items():
            patience.cancel()
            self._admit(client)

    def shut(self) -> None:
        """Hold clients from now on."""
        self._opener = None

    @property
    def connection(self) -> Opener | None:
        """Where clients go now; None while they are held, and where there is no tunnel."""
        return None if self._opener is STOPPED else self._opener

    def close_if(self, opener: Opener) -> None:
        """Hold clients, if this is the connection that they go to: it ends."""
        if self._opener is opener:
            self.shut()

    def open_channel(
        self,
        target: Address,
        end: ChannelEndpoint,
        origin: tuple[str, int],
        patience: float,
        refused: Refused,
    ) -> None:
        """Open a channel on this connection or, while patience lasts, on the next.

        Either end.connection_made or refused is called, once, now or later.
        """
        until = asyncio.get_running_loop().time() + patience
        self._admit(_Client(target, end, origin, refused, until))

    async def reach(
        self, target: Address, origin: tuple[str, int], patience: float, counters: Counters
    ) -> ChannelEndpoint:
        """Wait for a channel, as `reach` does. Raises ConnectError."""

        def opening(end: ChannelEndpoint, refused: Refused) -> None:
            self.open_channel(target, end, origin, patience, refused)

        return await reach(opening, counters)

    def _admit(self, client: _Client) -> None:
        opener = self._opener
        if opener is None:
            self._hold(client)
            return

        def refused(why: ConnectError) -> None:
            if not opener.is_closed:
                client.refused(why)
                return
            self.close_if(opener)  # its end may not be known here yet
            self._admit(client)

        opener.open_channel(client.target, client.end, client.origin, refused)

    def _hold(self, client: _Client) -> None:
        loop = asyncio.get_running_loop()
        if client.until <= loop.time():
            self._reject(client)
        else:
            self._waiting[client] = loop.call_at(client.until, self._reject, client)

    def _reject(self, client: _Client) -> None:
        self._waiting.pop(client, None)
        words = "the tunnel's connection is away"
        client.refused(ConnectError(Reason.FAILED, words))
