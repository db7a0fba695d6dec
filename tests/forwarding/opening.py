"""Opening a channel in a test: waits for what callbacks tell."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunnelkeeper.core.connect_error import ConnectError
    from tunnelkeeper.core.forward_spec import Address
    from tunnelkeeper.forwarding.gate import ChannelOpener
    from tunnelkeeper.forwarding.pump import ChannelEndpoint


async def opened(
    opener: ChannelOpener, target: Address, end: ChannelEndpoint, origin: tuple[str, int] = ("", 0)
) -> None:
    """Open a channel and wait until it is open. Raises ConnectError."""
    outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    made = end._on_connected

    def noted(channel: ChannelEndpoint) -> None:
        made(channel)
        if not outcome.done():
            outcome.set_result(None)

    def refused(why: ConnectError) -> None:
        if not outcome.done():
            outcome.set_exception(why)

    end._on_connected = noted
    opener.open_channel(target, end, origin, refused)
    await outcome
