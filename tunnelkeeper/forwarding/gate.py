"""The gate of a tunnel: its clients wait here while it has no SSH connection.

"Gate" is a word of this project. An open gate passes each client on to the connection; a closed
one holds clients until it opens or their time is over. It opens no connection.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.core.connect_error import ConnectError, OnError, Reason
from tunnelkeeper.forwarding.pump import ChannelEndpoint, PauseReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.forward_spec import Address
    from tunnelkeeper.forwarding.pump import Counters


class ChannelOpener(Protocol):
    """What forwarding needs of an SSH connection."""

    @property
    def is_closed(self) -> bool:
        """Whether the connection has ended, so that a failed open may be tried on the next one."""

    def open_channel(
        self, target: Address, end: ChannelEndpoint, origin: tuple[str, int], on_error: OnError
    ) -> None:
        """Open a channel to a target as seen from the server, with `end` as its session.

        Calls either end.connection_made or on_error, once, now or later.
        """


class _Stopped:
    """The opener of a stopped tunnel: it rejects waiting and new clients at once."""

    is_closed = False

    def open_channel(
        self, target: Address, end: ChannelEndpoint, origin: tuple[str, int], on_error: OnError
    ) -> None:
        """Report an error."""
        on_error(ConnectError(Reason.FAILED, "the tunnel is stopped"))


STOPPED: ChannelOpener = _Stopped()


async def wait_for_channel(
    open_channel: Callable[[ChannelEndpoint, OnError], None], counters: Counters
) -> ChannelEndpoint:
    """Open a channel and wait for it. It reads nothing until it is resumed or joined.

    Raises ConnectError.
    """
    opened: asyncio.Future[ChannelEndpoint] = asyncio.get_running_loop().create_future()

    def on_connected(channel: ChannelEndpoint) -> None:
        channel.pause_reading(PauseReason.NO_PEER)
        if opened.done():  # the caller was cancelled
            channel.abort()
        else:
            opened.set_result(channel)

    def on_error(error: ConnectError) -> None:
        if not opened.done():
            opened.set_exception(error)

    open_channel(ChannelEndpoint(counters, on_connected), on_error)
    return await opened


@dataclass(slots=True, eq=False)
class _Client:
    """A client that wants a channel. deadline: how long it waits, in the loop's time."""

    target: Address
    end: ChannelEndpoint
    origin: tuple[str, int]
    on_error: OnError
    deadline: float


class Gate:
    """Holds clients until there is a connection, each for its own timeout in seconds."""

    def __init__(self) -> None:
        self.generation = 0  # counts the connections
        self._opener: ChannelOpener | None = None
        self._waiting: dict[_Client, asyncio.TimerHandle] = {}

    def open(self, opener: ChannelOpener) -> None:
        """Pass waiting clients, in their order, and new ones on to a connection."""
        self._opener = opener
        self.generation += 1
        waiting, self._waiting = self._waiting, {}
        for client, timer in waiting.items():
            timer.cancel()
            self._open_channel(client)

    def close(self) -> None:
        """Hold new clients."""
        self._opener = None

    @property
    def connection(self) -> ChannelOpener | None:
        """The connection that serves clients; None while they wait or the tunnel is stopped."""
        return None if self._opener is STOPPED else self._opener

    def close_if(self, opener: ChannelOpener) -> None:
        """Hold new clients if this connection, which is ending, serves them now."""
        if self._opener is opener:
            self.close()

    def open_channel(
        self,
        target: Address,
        end: ChannelEndpoint,
        origin: tuple[str, int],
        timeout: float,
        on_error: OnError,
    ) -> None:
        """Open a channel on this connection or, until the timeout, on the next one.

        Calls either end.connection_made or on_error, once, now or later.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        self._open_channel(_Client(target, end, origin, on_error, deadline))

    async def connect(
        self, target: Address, origin: tuple[str, int], timeout: float, counters: Counters
    ) -> ChannelEndpoint:
        """Open a channel and wait for it. It reads nothing until it is resumed or joined.

        Raises ConnectError.
        """

        def open_channel(end: ChannelEndpoint, on_error: OnError) -> None:
            self.open_channel(target, end, origin, timeout, on_error)

        return await wait_for_channel(open_channel, counters)

    def _open_channel(self, client: _Client) -> None:
        opener = self._opener
        if opener is None:
            self._hold(client)
            return

        def on_error(error: ConnectError) -> None:
            if not opener.is_closed:
                client.on_error(error)
                return
            self.close_if(opener)  # the gate may not have been notified yet
            self._open_channel(client)

        opener.open_channel(client.target, client.end, client.origin, on_error)

    def _hold(self, client: _Client) -> None:
        loop = asyncio.get_running_loop()
        if client.deadline <= loop.time():
            self._reject(client)
        else:
            self._waiting[client] = loop.call_at(client.deadline, self._reject, client)

    def _reject(self, client: _Client) -> None:
        self._waiting.pop(client, None)
        client.on_error(ConnectError(Reason.FAILED, "the tunnel's connection is away"))
