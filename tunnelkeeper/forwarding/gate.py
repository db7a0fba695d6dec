"""Where the clients of a tunnel's local ports wait while its connection is away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.forwarding.socks import Outcome
from tunnelkeeper.forwarding.targets import TargetRefused

if TYPE_CHECKING:
    from tunnelkeeper.core.forwards import Address
    from tunnelkeeper.forwarding.pump import ChannelEnd


class Opener(Protocol):
    """An SSH connection, as far as forwarding is concerned."""

    @property
    def is_closed(self) -> bool:
        """Whether it has ended: what failed on it may be tried on the next."""

    async def open_channel(self, target: Address, end: ChannelEnd, origin: tuple[str, int]) -> None:
        """Open a channel to a target seen from the server, with `end` as its session.

        Raises TargetRefused.
        """


class _Nowhere:
    """Where the gate of a stopped tunnel leads: whoever waits or comes is turned away at once."""

    is_closed = False

    async def open_channel(self, target: Address, end: ChannelEnd, origin: tuple[str, int]) -> None:
        """Open nothing: raise TargetRefused."""
        raise TargetRefused(Outcome.GENERAL_FAILURE, "the tunnel is stopped")


NOWHERE: Opener = _Nowhere()


class Gate:
    """Holds clients until there is a connection, each for its own patience (seconds)."""

    def __init__(self) -> None:
        self._opener: Opener | None = None
        self._opened = asyncio.Event()

    def open(self, opener: Opener) -> None:
        """Let clients through to a connection."""
        self._opener = opener
        self._opened.set()

    def shut(self) -> None:
        """Hold clients from now on."""
        self._opener = None
        self._opened.clear()

    @property
    def connection(self) -> Opener | None:
        """Where clients go now; None while they are held, and where there is no tunnel."""
        return None if self._opener is NOWHERE else self._opener

    async def open_channel(
        self, target: Address, end: ChannelEnd, origin: tuple[str, int], patience: float
    ) -> None:
        """Open a channel on this connection or, while patience lasts, on the next.

        Raises TargetRefused.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        while True:
            opener = await self._wait(until)
            try:
                await opener.open_channel(target, end, origin)
            except TargetRefused:
                if not opener.is_closed:
                    raise
                if self._opener is opener:  # its end is not yet known here
                    self.shut()
            else:
                return

    async def _wait(self, until: float) -> Opener:
        try:
            async with asyncio.timeout_at(until):
                while self._opener is None:
                    await self._opened.wait()
                return self._opener
        except TimeoutError as error:
            words = "the tunnel's connection is away"
            raise TargetRefused(Outcome.GENERAL_FAILURE, words) from error
