"""Runs the on_up and on_down programs of a tunnel. core.hook_queue decides which one is due.

It uses no shell, and the tunnel never waits for a hook: one that hangs, fails or cannot be started
costs a log message and never a connection.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from math import inf
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
from tunnelkeeper.net.child_process import ChildProcess, LineSplitter, program_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.configuration import Tunnel
    from tunnelkeeper.core.failures import Failure
    from tunnelkeeper.net.start_limiter import StartLimiter
    from tunnelkeeper.tunnel.event_log import EventLog

MAX_STARTING_HOOKS = 32
"""Hooks of all tunnels that start at the same time. Each needs a process and a pipe."""

HOOK_PATIENCE = 1.0
"""Seconds after which a hook no longer counts, so that no tunnel waits for a hook of another."""

MAX_OUTPUT_LINES = 20
"""Logged lines of a hook's output."""

OUTPUT_TIMEOUT = 0.5
"""Seconds to read the remaining output after an exit."""


class HookRunner:
    """The hooks of one tunnel. limiter: of the hooks of all tunnels."""

    def __init__(self, event_log: EventLog, limiter: StartLimiter) -> None:
        self._event_log = event_log
        self._limiter = limiter
        self._queue = HookQueue()
        self._timeout: asyncio.Timeout | None = None
        self._on_up_deadline = inf  # time of the event loop's clock

    def on_state(
        self, tunnel: Tunnel, state: str, failure: Failure | None, tasks: asyncio.TaskGroup
    ) -> None:
        """Run the hooks that are due in a new state of the tunnel. tasks owns them."""
        self._queue = on_state(self._queue, state, failure)
        self._queue, event = next_due(self._queue)
        if event is not None:
            tasks.create_task(self._run_all(tunnel, event))

    def end_on_up(self) -> None:
        """End a running on_up hook and start no other, so that on_down runs before the exit."""
        self._on_up_deadline = asyncio.get_running_loop().time()
        if self._queue.running == "up" and self._timeout is not None:
            self._timeout.reschedule(self._on_up_deadline)

    async def _run_all(self, tunnel: Tunnel, first: HookEvent) -> None:
        event: HookEvent | None = first
        while event is not None:
            command = tunnel.on_up if event.kind == "up" else tunnel.on_down
            if command:
                async with self._limiter.slot():
                    await self._run(tunnel, event, command)
            self._queue, event = next_due(on_finished(self._queue))

    async def _run(self, tunnel: Tunnel, event: HookEvent, command: tuple[str, ...]) -> None:
        def log(text: str) -> None:
            self._event_log.write("info", tunnel.name, f"on_{event.kind}: {text}")

        try:
            process = await _HookProcess.run(command, variables(tunnel.name, event), log)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            message = f"{printable(command[0])} cannot be started: {printable(reason)}"
            self._event_log.write("warning", tunnel.name, f"on_{event.kind}: {message}")
            return
        deadline = asyncio.get_running_loop().time() + tunnel.hook_timeout
        if event.kind == "up":
            deadline = min(deadline, self._on_up_deadline)
        try:
            async with asyncio.timeout_at(deadline) as self._timeout:
                problem = await process.wait()
        except TimeoutError:
            problem = f"ended, as it took longer than {tunnel.hook_timeout:g} s"
            if event.kind == "up" and self._on_up_deadline < inf:
                problem = "ended, as the tunnel ends"
        finally:
            self._timeout = None
            await process.end()
        if problem:
            self._event_log.write("warning", tunnel.name, f"on_{event.kind}: {problem}")


class _HookProcess(ChildProcess):
    """A running hook. What it leaves in the background runs on until this process ends."""

    def __init__(self, log: Callable[[str], None]) -> None:
        super().__init__()
        self._log = log
        self._lines_left = MAX_OUTPUT_LINES
        self._output = LineSplitter(self._log_line)

    @classmethod
    async def run(
        cls, command: tuple[str, ...], hook_variables: dict[str, str], log: Callable[[str], None]
    ) -> _HookProcess:
        """Start a program with stdin from /dev/null. A leading `~` is the home directory.

        Raises:
            OSError: The program cannot be started.
            ValueError: An argument contains a null byte.
        """
        inherited = {k: v for k, v in os.environ.items() if k not in PRIVATE_VARIABLES}
        return await cls(log).start(
            [program_path(command[0]), *command[1:]],
            stderr=asyncio.subprocess.STDOUT,
            env={**inherited, **hook_variables},
        )

    async def wait(self) -> str:
        """Wait for the program to exit, but not for its children. Return its problem or "".

        Cancellation leaves the program running.
        """
        await self.exited.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(OUTPUT_TIMEOUT):
                await self.ended.wait()
        code = self.returncode
        if code is None or code == 0:
            return ""
        return f"ended by signal {-code}" if code < 0 else f"ended with exit status {code}"

    async def end(self) -> None:
        """End the program and its children if it still runs, and stop reading its output."""
        if self.exited.is_set():
            self.detach()
        else:
            await self.terminate()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Log the first lines and discard the rest."""
        del fd
        if self._lines_left:
            self._output.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Log the last line if it has no newline."""
        self._output.end()
        super().connection_lost(exc)

    def _log_line(self, line: bytes) -> None:
        text = printable(line.decode("utf-8", "replace").strip())
        if not text or not self._lines_left:
            return
        self._lines_left -= 1
        self._log(text if self._lines_left else f"{text} (further output is not logged)")
