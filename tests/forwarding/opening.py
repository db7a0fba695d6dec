"""Opens a channel in a test and waits for its callbacks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunnelkeeper.core.connect_error import ConnectError
    from tunnelkeeper.core.forward_spec import Address
    from tunnelkeeper.forwarding.gate import ChannelOpener
    from tunnelkeeper.forwarding.pump import ChannelEndpoint


async def open_and_wait(
    opener: ChannelOpener,
    target: Address,
    endpoint: ChannelEndpoint,
    origin: tuple[str, int] = ("", 0),
) -> None:
    """Open a channel and wait until it is open. Raises ConnectError."""
    result: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    on_connected = endpoint._on_connected

    def on_open(channel: ChannelEndpoint) -> None:
        on_connected(channel)
        if not result.done():
            result.set_result(None)

    def on_error(error: ConnectError) -> None:
        if not result.done():
            result.set_exception(error)

    endpoint._on_connected = on_open
    opener.open_channel(target, endpoint, origin, on_error)
    await result
