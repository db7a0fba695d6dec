"""The monitoring loop of -M: it sends a line through one forward and expects it back.

It does not restart the connection; its caller does.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from tunnelkeeper.autossh.monitor_protocol import ATTEMPTS, LOCALHOST, Timing, format_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.autossh.command_line import Monitor
    from tunnelkeeper.clock import Clock

RANDOM_BELOW = 2**31


class MonitorLoop:
    """The monitoring loop of one connection. text: AUTOSSH_MESSAGE. debug: logs each step."""

    def __init__(
        self,
        monitor: Monitor,
        timing: Timing,
        text: str,
        clock: Clock,
        debug: Callable[[str], None],
    ) -> None:
        self._monitor = monitor
        self._timing = timing
        self._text = text
        self._clock = clock
        self._debug = debug

    async def run_until_broken(self) -> None:
        """Probe the loop at every poll. Return when it is broken."""
        await self._clock.sleep(self._timing.first)
        while await self._is_working():
            await self._clock.sleep(self._timing.poll)

    async def _is_working(self) -> bool:
        """Return whether the line came back in one of the attempts."""
        for _ in range(ATTEMPTS):
            sent = format_message(
                socket.gethostname(), os.getpid(), secrets.randbelow(RANDOM_BELOW), self._text
            )
            try:
                received = await self._send_and_receive(sent)
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                self._debug(f"the monitoring loop: {type(error).__name__}: {error}")
                continue
            if received == sent:
                self._debug("connection ok")
                return True
            self._debug(f"not what I sent: {sent!r} : {received!r}")
        self._debug(f"tried connection {ATTEMPTS} times and failed")
        return False

    async def _send_and_receive(self, sent: bytes) -> bytes:
        """Send a line, and return what comes back."""
        if self._monitor.echo_port is not None:
            return await self._exchange(sent, None)
        back: asyncio.Future[asyncio.StreamReader] = asyncio.get_running_loop().create_future()

        def accepted(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            if not back.done():
                back.set_result(reader)

        port = self._monitor.port + 1
        async with await asyncio.start_server(accepted, LOCALHOST, port):
            return await self._exchange(sent, back)

    async def _exchange(
        self, sent: bytes, back: asyncio.Future[asyncio.StreamReader] | None
    ) -> bytes:
        async with asyncio.timeout(self._timing.timeout):
            reader, writer = await asyncio.open_connection(LOCALHOST, self._monitor.port)
        try:
            writer.write(sent)
            async with asyncio.timeout(self._timing.timeout):
                returning = reader if back is None else await back
            async with asyncio.timeout(self._timing.timeout):
                return await returning.readexactly(len(sent))
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
