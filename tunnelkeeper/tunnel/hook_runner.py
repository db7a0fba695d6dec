"""Runs a tunnel's on_up and on_down programs beside it; which one is due is core.hook_queue'.

No shell is involved and nothing is waited for: a hook that hangs, fails or cannot be started costs
a line of the log and never a connection.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.hook_queue import (
    PRIVATE_VARIABLES,
    HookEvent,
    HookQueue,
    next_due,
    on_finished,
    on_state,
    variables,
)
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.fd_limits import with_inherited_limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.configuration import Tunnel
    from tunnelkeeper.core.failures import Failure
    from tunnelkeeper.tunnel.event_log import EventLog

MAX_CONCURRENT_HOOKS = 32
"""Hooks of all tunnels that run at a time: each is a process and a pipe."""

MAX_OUTPUT_LINES = 20
"""Lines of a hook's output that are logged."""

MAX_LINE_LENGTH = 4096  # bytes of a line that never ends

TERMINATE_TIMEOUT = 0.5
"""Seconds between SIGTERM and SIGKILL, and for the last words of a program that has exited."""


class HookRunner:
    """The hooks of one tunnel. places bounds those of all tunnels together."""

    def __init__(self, event_log: EventLog, slots: asyncio.Semaphore) -> None:
        self._event_log = event_log
        self._slots = slots
        self._queue = HookQueue()
        self._timeout: asyncio.Timeout | None = None
        self._on_up_deadline = inf  # on the loop's clock

    def on_state(
        self, tunnel: Tunnel, state: str, failure: Failure | None, tasks: asyncio.TaskGroup
    ) -> None:
        """A tunnel is in a state; tasks owns what runs because of it."""
        self._queue = on_state(self._queue, state, failure)
        self._queue, occasion = next_due(self._queue)
        if occasion is not None:
            tasks.create_task(self._run_all(tunnel, occasion))

    def end_on_up(self) -> None:
        """The tunnel is going for good: an on_up that still runs must not keep on_down waiting."""
        self._on_up_deadline = asyncio.get_running_loop().time()
        if self._queue.running == "up" and self._timeout is not None:
            self._timeout.reschedule(self._on_up_deadline)

    async def _run_all(self, tunnel: Tunnel, first: HookEvent) -> None:
        occasion: HookEvent | None = first
        while occasion is not None:
            command = tunnel.on_up if occasion.kind == "up" else tunnel.on_down
            if command:
                async with self._slots:
                    await self._run(tunnel, occasion, command)
            self._queue, occasion = next_due(on_finished(self._queue))

    async def _run(self, tunnel: Tunnel, occasion: HookEvent, command: tuple[str, ...]) -> None:
        def log(text: str) -> None:
            self._event_log.write("info", tunnel.name, f"on_{occasion.kind}: {text}")

        try:
            process = await _HookProcess.start(command, variables(tunnel.name, occasion), log)
        except (OSError, ValueError) as error:
            words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            said = f"{printable(command[0])} cannot be started: {printable(words)}"
            self._event_log.write("warning", tunnel.name, f"on_{occasion.kind}: {said}")
            return
        until = asyncio.get_running_loop().time() + tunnel.hook_timeout
        if occasion.kind == "up":
            until = min(until, self._on_up_deadline)
        try:
            async with asyncio.timeout_at(until) as self._timeout:
                problem = await process.wait()
        except TimeoutError:
            problem = f"ended, as it took longer than {tunnel.hook_timeout:g} s"
            if occasion.kind == "up" and self._on_up_deadline < inf:
                problem = "ended, as the tunnel ends"
        finally:
            self._timeout = None
            await process.terminate()
        if problem:
            self._event_log.write("warning", tunnel.name, f"on_{occasion.kind}: {problem}")


class _HookProcess(asyncio.SubprocessProtocol):
    """A hook that runs, at the head of a process group of its own."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._partial = b""
        self._lines_left = MAX_OUTPUT_LINES
        self._transport: asyncio.SubprocessTransport | None = None
        self._exited = asyncio.Event()
        self._output_closed = asyncio.Event()

    @classmethod
    async def start(
        cls, command: tuple[str, ...], hook_variables: dict[str, str], log: Callable[[str], None]
    ) -> _HookProcess:
        """Start a program, without input; a `~` in front of it is the home folder.

        Raises OSError and ValueError.
        """
        inherited = {k: v for k, v in os.environ.items() if k not in PRIVATE_VARIABLES}
        _, process = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(log),
            *with_inherited_limit([program_path(command[0]), *command[1:]]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**inherited, **hook_variables},
            start_new_session=True,
        )
        return process

    async def wait(self) -> str:
        """Wait for the program itself, not for what it left running; what went wrong, or nothing.

        Cancelled, it leaves the program running.
        """
        await self._exited.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(TERMINATE_TIMEOUT):
                await self._output_closed.wait()
        code = self._transport.get_returncode() if self._transport else None
        if code is None or code == 0:
            return ""
        return f"ended by signal {-code}" if code < 0 else f"ended with exit status {code}"

    async def terminate(self) -> None:
        """End what has not ended, with all that it started; read no more."""
        transport = self._transport
        if transport is None:
            return
        try:
            if not self._exited.is_set():
                _signal_group(transport, signal.SIGTERM)
                with suppress(TimeoutError):
                    async with asyncio.timeout(TERMINATE_TIMEOUT):
                        await self._exited.wait()
                _signal_group(transport, signal.SIGKILL)
        finally:
            self._transport = None
            transport.close()

    # -- asyncio.SubprocessProtocol ----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        assert isinstance(transport, asyncio.SubprocessTransport)  # noqa: S101
        self._transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Log the first lines, and drop the rest."""
        del fd
        if not self._lines_left:
            return
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > MAX_LINE_LENGTH:
            lines, self._partial = [*lines, self._partial], b""
        for line in lines:
            self._log_line(line)

    def process_exited(self) -> None:
        """The program itself is over; what it started may go on and hold its output."""
        self._exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """All it said is read: log a last line without an end."""
        del exc
        self._log_line(self._partial)
        self._partial = b""
        self._output_closed.set()

    def _log_line(self, line: bytes) -> None:
        text = printable(line.decode("utf-8", "replace").strip())
        if not text or not self._lines_left:
            return
        self._lines_left -= 1
        self._log(text if self._lines_left else f"{text} (what follows is not logged)")


def program_path(program: str) -> str:
    """A hook's program as it is started: a name for PATH, or a path without `~`.

    Raises OSError.
    """
    try:
        return str(Path(program).expanduser()) if program.startswith("~") else program
    except RuntimeError as error:
        raise OSError(errno.ENOENT, str(error)) from error


def _signal_group(transport: asyncio.SubprocessTransport, number: signal.Signals) -> None:
    """To the whole group, which outlives its head as long as a member does."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(transport.get_pid(), number)
