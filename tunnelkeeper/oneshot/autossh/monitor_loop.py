"""The monitoring loop of -M: it sends a line through one forward and expects it back.

It does not restart the connection; its caller does.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from tunnelkeeper.autossh.monitor_protocol import ATTEMPTS, LOCALHOST, Timing, format_message
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.oneshot.autossh.log import Level
from tunnelkeeper.oneshot.autossh.monitor_ports import check_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.autossh.command_line import Monitor
    from tunnelkeeper.clock import Clock
    from tunnelkeeper.core.failures import Failure
    from tunnelkeeper.oneshot.autossh.monitor_ports import ReturnPort

RANDOM_BELOW = 2**31


class Result(Enum):
    """The result of a probe. UNKNOWN: this machine could not test the connection."""

    WORKING = "working"
    BROKEN = "broken"
    UNKNOWN = "unknown"


class LocalError(Exception):
    """Raised when a probe fails on this machine, which says nothing about the connection."""


@dataclass(frozen=True, slots=True)
class Loop:
    """The parts of a monitoring loop.

    return_port: None for a loop through an echo service. find_failure: returns why a forward of
    the loop does not listen, if so.
    """

    monitor: Monitor
    return_port: ReturnPort | None
    find_failure: Callable[[], Failure | None]


class MonitorLoop:
    """The monitoring loop of one connection. text: AUTOSSH_MESSAGE."""

    def __init__(
        self,
        loop: Loop,
        timing: Timing,
        text: str,
        clock: Clock,
        log: Callable[[Level, str], None],
    ) -> None:
        self._loop = loop
        self._timing = timing
        self._text = text
        self._clock = clock
        self._log = log
        self._last_local_error = ""

    async def run_until_broken(self) -> None:
        """Probe the loop at every poll. Return when it is broken."""
        await self._clock.sleep(self._timing.first)
        while await self._probe() is not Result.BROKEN:
            await self._clock.sleep(self._timing.poll)

    async def _probe(self) -> Result:
        try:
            result = await self._try_to_send()
        except LocalError as error:
            self._report_local_error(str(error))
            return Result.UNKNOWN
        self._last_local_error = ""
        return result

    async def _try_to_send(self) -> Result:
        """Return whether the line came back in one of the attempts.

        Raises:
            LocalError: This machine cannot test the connection.
        """
        failure = self._loop.find_failure()
        if failure is not None:
            raise LocalError(str(failure))
        for _ in range(ATTEMPTS):
            number = secrets.randbelow(RANDOM_BELOW)
            sent = format_message(socket.gethostname(), os.getpid(), number, self._text)
            try:
                received = await self._send_and_receive(sent)
            except OSError as error:
                self._debug(f"the monitoring loop: {os_error_text(error)}")
                continue
            except asyncio.IncompleteReadError:
                self._debug("the monitoring loop: it was closed before the line came back")
                continue
            if received == sent:
                self._debug("connection ok")
                return Result.WORKING
            self._debug(f"not what I sent: {sent!r} : {received!r}")
        await self._rule_out_this_machine()
        self._debug(f"tried connection {ATTEMPTS} times and failed")
        return Result.BROKEN

    async def _rule_out_this_machine(self) -> None:
        try:
            await check_loopback(self._timing.timeout)
        except OSError as error:
            raise LocalError(os_error_text(error)) from None

    async def _send_and_receive(self, sent: bytes) -> bytes:
        """Send a line, and return what comes back."""
        try:
            async with asyncio.timeout(self._timing.timeout):
                reader, writer = await asyncio.open_connection(LOCALHOST, self._loop.monitor.port)
        except OSError as error:  # this program listens there: the connection is not involved yet
            port = self._loop.monitor.port
            raise LocalError(f"{LOCALHOST}:{port}: {os_error_text(error)}") from None
        try:
            writer.write(sent)
            if self._loop.return_port is None:
                async with asyncio.timeout(2 * self._timing.timeout):
                    return await reader.readexactly(len(sent))
            await self._expect(self._loop.return_port, sent)
            return sent
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _expect(self, return_port: ReturnPort, sent: bytes) -> None:
        try:
            await return_port.expect(sent, 2 * self._timing.timeout)
        except TimeoutError:
            if not return_port.accepted:
                self._log(Level.INFO, "timeout polling to accept read connection")
            raise

    def _report_local_error(self, reason: str) -> None:
        level = Level.DEBUG if reason == self._last_local_error else Level.WARNING
        self._last_local_error = reason
        self._log(
            level,
            f"cannot test the connection: {reason}; it stays, "
            f"and the next test is in {self._timing.poll:.0f} s",
        )

    def _debug(self, text: str) -> None:
        self._log(Level.DEBUG, text)
