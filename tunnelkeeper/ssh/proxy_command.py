"""A ProxyCommand: a process whose standard input and output are the connection to the server.

asyncssh would mix the command's standard error into the SSH stream, so the command is started here,
on a socket pair. Its standard error is logged. It ends with the connection or with this process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.net.fd_limits import inherited
from tunnelkeeper.ssh import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT_STDERR_LINES = 5
LINE_LIMIT = 4096  # bytes; a longer line is split
EXIT_TIMEOUT = 1.0
"""Seconds to wait for a command's exit status after it closed its output."""


class ProxyCommand(asyncio.SubprocessProtocol):
    """A running proxy command.

    Attributes:
        stderr_lines: The last lines of its standard error, made printable.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self.stderr_lines: deque[str] = deque(maxlen=KEPT_STDERR_LINES)
        self._log = log
        self._partial = b""
        self._transport: asyncio.SubprocessTransport | None = None
        self._ended = asyncio.Event()

    @classmethod
    async def start(
        cls, command: str, log: Callable[[str], None]
    ) -> tuple[ProxyCommand, socket.socket]:
        """Run a command with the user's shell, as ssh does. Return it and our end of the pair.

        Raises:
            OSError: The shell cannot be started.
        """
        local, remote = socket.socketpair()
        local.setblocking(False)
        try:
            shell = os.environ.get("SHELL") or "/bin/sh"
            run = die_with_parent.command_line([shell, "-c", f"exec {command}"], inherited().soft)
            _, process = await asyncio.get_running_loop().subprocess_exec(
                lambda: cls(log),
                *run,
                stdin=remote.fileno(),
                stdout=remote.fileno(),
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except BaseException:
            local.close()
            raise
        finally:
            remote.close()
        return process, local

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the process's transport."""
        assert isinstance(transport, asyncio.SubprocessTransport)  # noqa: S101
        self._transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Log the command's standard error, line by line."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > LINE_LIMIT:
            lines, self._partial = [*lines, self._partial], b""
        for line in lines:
            self._log_line(line)

    def connection_lost(self, exc: Exception | None) -> None:
        """Log a last line without a line end. The command has exited and its output is read."""
        del exc
        self._log_line(self._partial)
        self._partial = b""
        self._ended.set()

    async def describe_exit(self) -> str:
        """Return how the command ended, for a failure's message."""
        with suppress(TimeoutError):
            async with asyncio.timeout(EXIT_TIMEOUT):
                await self._ended.wait()
        code = self._transport.get_returncode() if self._transport else None
        match code:
            case None:
                how = "the proxy command closed its output"
            case _ if code < 0:
                how = f"the proxy command was ended by signal {-code}"
            case _:
                how = f"the proxy command ended with exit status {code}"
        return f"{how}: {self.stderr_lines[-1]}" if self.stderr_lines else how

    def close(self) -> None:
        """End the command and its children."""
        if self._transport is None:
            return
        if self._transport.get_returncode() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._transport.get_pid(), signal.SIGTERM)
        self._transport.close()  # sends SIGKILL
        self._transport = None

    def _log_line(self, line: bytes) -> None:
        text = printable(line.decode("utf-8", "replace").strip())
        if text:
            self.stderr_lines.append(text)
            self._log(text)
