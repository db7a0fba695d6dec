"""A program that runs in a process group of its own, with its events as methods.

It interprets neither the program's output nor its exit status.
"""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tunnelkeeper.net.fd_limits import with_inherited_limit
from tunnelkeeper.net.process_group import ProcessGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LINE_LIMIT = 4096  # bytes; a longer line is split


class ChildProcess(asyncio.SubprocessProtocol):
    """A running program, the leader of its process group.

    Attributes:
        exited: Set when the program has exited. Its children can still hold its output open.
        ended: Set when the program has exited and its output is read to the end.
    """

    def __init__(self) -> None:
        self.exited = asyncio.Event()
        self.ended = asyncio.Event()
        self.returncode: int | None = None
        self._transport: asyncio.SubprocessTransport | None = None
        self._group: ProcessGroup | None = None

    async def start(
        self,
        command: Sequence[str],
        *,
        stdin: int = asyncio.subprocess.DEVNULL,
        stdout: int = asyncio.subprocess.PIPE,
        stderr: int = asyncio.subprocess.PIPE,
        env: Mapping[str, str] | None = None,
    ) -> Self:
        """Start a program with the limits and signal handlers that a shell would give it.

        Raises:
            OSError: The program cannot be started.
            ValueError: An argument contains a null byte.
        """
        starting = asyncio.get_running_loop().create_task(
            self._start(command, stdin, stdout, stderr, env)
        )
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # asyncio would end the program alone, and wait for children that hold its output.
            await asyncio.wait({starting})
            if not starting.cancelled() and starting.exception() is None:
                await self.terminate()
            raise
        return self

    async def _start(
        self,
        command: Sequence[str],
        stdin: int,
        stdout: int,
        stderr: int,
        env: Mapping[str, str] | None,
    ) -> None:
        # Python ignores SIGPIPE and SIGXFSZ; restore_signals, the default, undoes that.
        await asyncio.get_running_loop().subprocess_exec(
            lambda: self,
            *with_inherited_limit(command),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=env,
            start_new_session=True,
        )

    @property
    def pid(self) -> int | None:
        """The process id, or None before the start and after the end."""
        return self._transport.get_pid() if self._transport is not None else None

    async def terminate(self) -> None:
        """End the program and its children, and stop reading its output.

        They get SIGTERM, and SIGKILL half a second later. Cancellation sends SIGKILL at once.
        """
        transport, self._transport = self._transport, None
        if transport is None or self._group is None:
            return
        try:
            await self._group.terminate()
        finally:
            transport.close()

    def detach(self) -> None:
        """Stop reading the output of a program that has exited. Its children run on."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    # -- asyncio.SubprocessProtocol ----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.SubprocessTransport)  # noqa: S101
        self._transport = transport
        self._group = ProcessGroup(transport.get_pid())

    def process_exited(self) -> None:
        """Store the exit status."""
        if self._transport is not None:
            self.returncode = self._transport.get_returncode()
        if self._group is not None:
            self._group.leader_exited()
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Record the end of the program and of its output."""
        del exc
        self.ended.set()


class LineSplitter:
    """Splits output into lines, without their ends and without empty ones."""

    def __init__(self, on_line: Callable[[bytes], None]) -> None:
        self._on_line = on_line
        self._partial = b""

    def feed(self, data: bytes) -> None:
        """Add output."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > LINE_LIMIT:
            lines, self._partial = [*lines, self._partial], b""
        for line in lines:
            self._on_line(line)

    def end(self) -> None:
        """Return a last line that has no line end."""
        line, self._partial = self._partial, b""
        self._on_line(line)


def program_path(program: str) -> str:
    """Return a program with a leading `~` expanded. A bare name is left for PATH.

    Raises:
        OSError: The home directory is unknown.
    """
    try:
        return str(Path(program).expanduser()) if program.startswith("~") else program
    except RuntimeError as error:
        raise OSError(errno.ENOENT, str(error)) from error
