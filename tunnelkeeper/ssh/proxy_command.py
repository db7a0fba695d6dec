"""A ProxyCommand: a process whose standard input and output are the connection to the server.

asyncssh would mix the command's standard error into the SSH stream, so the command is started here,
on a socket pair. Its standard error is logged. It ends with the connection, and with it all that it
has started.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.net.child_process import ChildProcess, LineSplitter

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT_STDERR_LINES = 5
EXIT_TIMEOUT = 1.0
"""Seconds to wait for a command's exit status after it closed its output."""


class ProxyCommand(ChildProcess):
    """A running proxy command.

    Attributes:
        stderr_lines: The last lines of its standard error, made printable.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        super().__init__()
        self.stderr_lines: deque[str] = deque(maxlen=KEPT_STDERR_LINES)
        self._log = log
        self._stderr = LineSplitter(self._log_line)

    @classmethod
    async def run(
        cls, command: str, log: Callable[[str], None]
    ) -> tuple[ProxyCommand, socket.socket]:
        """Run a command with the user's shell, as ssh does. Return it and our end of the pair.

        Raises:
            OSError: The shell cannot be started. The error names it.
        """
        local, remote = socket.socketpair()
        local.setblocking(False)
        shell = os.environ.get("SHELL") or "/bin/sh"
        try:
            process = await cls(log).start(
                [shell, "-c", f"exec {command}"], stdin=remote.fileno(), stdout=remote.fileno()
            )
        except BaseException:
            local.close()
            raise
        finally:
            remote.close()
        return process, local

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Log the command's standard error, line by line."""
        del fd
        self._stderr.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Log a last line without a line end. The command has exited and its output is read."""
        self._stderr.end()
        super().connection_lost(exc)

    async def describe_exit(self) -> str:
        """Return how the command ended, for a failure's message."""
        with suppress(TimeoutError):
            async with asyncio.timeout(EXIT_TIMEOUT):
                await self.ended.wait()
        match self.returncode:
            case None:
                how = "the proxy command closed its output"
            case code if code < 0:
                how = f"the proxy command was ended by signal {-code}"
            case code:
                how = f"the proxy command ended with exit status {code}"
        return f"{how}: {self.stderr_lines[-1]}" if self.stderr_lines else how

    def _log_line(self, line: bytes) -> None:
        text = printable(line.decode("utf-8", "replace").strip())
        if text:
            self.stderr_lines.append(text)
            self._log(text)
