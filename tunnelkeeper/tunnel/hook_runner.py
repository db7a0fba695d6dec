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

KEPT_LINES = 20
"""Lines of a hook's output that are logged."""

LINE_LIMIT = 4096  # bytes of a line that never ends

TERMINATE_TIMEOUT = 0.5
"""Seconds between SIGTERM and SIGKILL, and for the last words of a program that has exited."""


class HookRunner:
    """The hooks of one tunnel. places bounds those of all tunnels together."""

    def __init__(self, journal: EventLog, places: asyncio.Semaphore) -> None:
        self._journal = journal
        self._places = places
        self._turns = HookQueue()
        self._limit: asyncio.Timeout | None = None
        self._no_up_after = inf  # on the loop's clock

    def on_state(
        self, tunnel: Tunnel, state: str, failure: Failure | None, tasks: asyncio.TaskGroup
    ) -> None:
        """A tunnel is in a state; tasks owns what runs because of it."""
        self._turns = on_state(self._turns, state, failure)
        self._turns, occasion = next_due(self._turns)
        if occasion is not None:
            tasks.create_task(self._run_all(tunnel, occasion))

    def hurry(self) -> None:
        """The tunnel is going for good: an on_up that still runs must not keep on_down waiting."""
        self._no_up_after = asyncio.get_running_loop().time()
        if self._turns.running == "up" and self._limit is not None:
            self._limit.reschedule(self._no_up_after)

    async def _run_all(self, tunnel: Tunnel, first: HookEvent) -> None:
        occasion: HookEvent | None = first
        while occasion is not None:
            command = tunnel.on_up if occasion.kind == "up" else tunnel.on_down
            if command:
                async with self._places:
                    await self._run(tunnel, occasion, command)
            self._turns, occasion = next_due(on_finished(self._turns))

    async def _run(self, tunnel: Tunnel, occasion: HookEvent, command: tuple[str, ...]) -> None:
        def log(text: str) -> None:
            self._journal.write("info", tunnel.name, f"on_{occasion.kind}: {text}")

        try:
            program = await _Program.start(command, variables(tunnel.name, occasion), log)
        except (OSError, ValueError) as error:
            words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            said = f"{printable(command[0])} cannot be started: {printable(words)}"
            self._journal.write("warning", tunnel.name, f"on_{occasion.kind}: {said}")
            return
        until = asyncio.get_running_loop().time() + tunnel.hook_timeout
        if occasion.kind == "up":
            until = min(until, self._no_up_after)
        try:
            async with asyncio.timeout_at(until) as self._limit:
                problem = await program.outcome()
        except TimeoutError:
            problem = f"ended, as it took longer than {tunnel.hook_timeout:g} s"
            if occasion.kind == "up" and self._no_up_after < inf:
                problem = "ended, as the tunnel ends"
        finally:
            self._limit = None
            await program.end()
        if problem:
            self._journal.write("warning", tunnel.name, f"on_{occasion.kind}: {problem}")


class _Program(asyncio.SubprocessProtocol):
    """A hook that runs, at the head of a process group of its own."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._partial = b""
        self._lines_left = KEPT_LINES
        self._transport: asyncio.SubprocessTransport | None = None
        self._exited = asyncio.Event()
        self._silent = asyncio.Event()

    @classmethod
    async def start(
        cls, command: tuple[str, ...], told: dict[str, str], log: Callable[[str], None]
    ) -> _Program:
        """Start a program, without input; a `~` in front of it is the home folder.

        Raises OSError and ValueError.
        """
        kept = {k: v for k, v in os.environ.items() if k not in PRIVATE_VARIABLES}
        _, program = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(log),
            *with_inherited_limit([program_path(command[0]), *command[1:]]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**kept, **told},
            start_new_session=True,
        )
        return program

    async def outcome(self) -> str:
        """Wait for the program itself, not for what it left running; what went wrong, or nothing.

        Cancelled, it leaves the program running.
        """
        await self._exited.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(TERMINATE_TIMEOUT):
                await self._silent.wait()
        code = self._transport.get_returncode() if self._transport else None
        if code is None or code == 0:
            return ""
        return f"ended by signal {-code}" if code < 0 else f"ended with exit status {code}"

    async def end(self) -> None:
        """End what has not ended, with all that it started; read no more."""
        transport = self._transport
        if transport is None:
            return
        try:
            if not self._exited.is_set():
                _signal(transport, signal.SIGTERM)
                with suppress(TimeoutError):
                    async with asyncio.timeout(TERMINATE_TIMEOUT):
                        await self._exited.wait()
                _signal(transport, signal.SIGKILL)
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
        if len(self._partial) > LINE_LIMIT:
            lines, self._partial = [*lines, self._partial], b""
        for line in lines:
            self._say(line)

    def process_exited(self) -> None:
        """The program itself is over; what it started may go on and hold its output."""
        self._exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """All it said is read: log a last line without an end."""
        del exc
        self._say(self._partial)
        self._partial = b""
        self._silent.set()

    def _say(self, line: bytes) -> None:
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


def _signal(transport: asyncio.SubprocessTransport, number: signal.Signals) -> None:
    """To the whole group, which outlives its head as long as a member does."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(transport.get_pid(), number)
