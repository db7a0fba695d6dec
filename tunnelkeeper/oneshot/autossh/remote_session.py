"""The remote session of a command line: a command, a shell, a subsystem, or -W.

Threads copy standard input and output and may block, because their descriptors are shared with
other processes and cannot be made non-blocking. A socket pair connects each thread to the channel.
It does not decide what follows the end of a session; `supervise` does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tunnelkeeper.autossh.session_plan import SessionPlan, wants_terminal
from tunnelkeeper.autossh.ssh_command import Purpose
from tunnelkeeper.core.connect_error import ConnectError
from tunnelkeeper.forwarding.pump import PauseReason, SocketEndpoint, join
from tunnelkeeper.oneshot.autossh import terminal
from tunnelkeeper.ssh.remote_command import (
    CommandEndpoint,
    CommandKind,
    CommandRefusedError,
    RemoteCommand,
)
from tunnelkeeper.tunnel.stdio_stream import relay_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tunnelkeeper.forwarding.gate import Gate
    from tunnelkeeper.oneshot.person import Ask
    from tunnelkeeper.ssh.connection import Connection

_KINDS = {
    Purpose.COMMAND: CommandKind.COMMAND,
    Purpose.SHELL: CommandKind.SHELL,
    Purpose.SUBSYSTEM: CommandKind.SUBSYSTEM,
}


@dataclass(frozen=True, slots=True)
class Stdio:
    """The standard streams. Each function closes its socket, may block, and runs in a thread.

    copy_stdio: copies between stdin (a descriptor), stdout and a socket until EOF in both
    directions. copy_stderr: copies from a socket to stderr. terminal_name: $TERM. ask: asks the
    person at the terminal; None if there is none.
    """

    stdin: int
    copy_stdio: Callable[[socket.socket, int], None]
    copy_stderr: Callable[[socket.socket], None]
    terminal_name: str
    ask: Ask | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether stdin is a terminal."""
        return os.isatty(self.stdin)


@dataclass(frozen=True, slots=True)
class Exited:
    """The remote session exited. status: as ssh would report it."""

    status: int


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """The server refused the request, or the target of -W is unreachable."""

    message: str


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """The connection was lost. resumable: the session can be started again without loss of data."""

    resumable: bool


@dataclass(frozen=True, slots=True)
class StdoutClosed:
    """The reader of our standard output closed it."""


Outcome = Exited | RequestRefused | ConnectionLost | StdoutClosed


class RemoteTask(Protocol):
    """A remote session to run over a connection."""

    async def run(self, connection: Connection, gate: Gate) -> Outcome:
        """Run the session to its end."""


def remote_task_for(plan: SessionPlan, stdio: Stdio) -> RemoteTask | None:
    """Return the task of a plan, or None if it only forwards."""
    match plan.purpose:
        case Purpose.FORWARD:
            return None
        case Purpose.STDIO:
            return _StdioForward(plan, stdio)
        case _:
            return _CommandSession(plan, stdio)


@dataclass(frozen=True, slots=True)
class _StdioForward:
    """-W: stdin and stdout connected to a target."""

    plan: SessionPlan
    stdio: Stdio

    async def run(self, connection: Connection, gate: Gate) -> Outcome:
        assert self.plan.target is not None  # noqa: S101  plan_session() sets it for -W
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        copying = None

        def reached() -> None:
            nonlocal copying
            copying = loop.run_in_executor(None, self.stdio.copy_stdio, theirs, self.stdio.stdin)

        try:
            await relay_stream(ours, b"", reached, gate, self.plan.target, timeout=0.0)
            if copying is not None:
                await copying
        except ConnectError as refusal:
            return RequestRefused(str(refusal))
        finally:
            ours.close()
            if copying is None:
                theirs.close()
        return ConnectionLost(resumable=False) if connection.is_closed else Exited(0)


@dataclass(frozen=True, slots=True)
class _CommandSession:
    """A command, a subsystem or a shell."""

    plan: SessionPlan
    stdio: Stdio

    async def run(self, connection: Connection, _gate: Gate) -> Outcome:
        end = CommandEndpoint()
        command = self._remote_command()
        try:
            await connection.run_command(command, end)
        except CommandRefusedError as refusal:
            return (
                ConnectionLost(resumable=True)
                if connection.is_closed
                else RequestRefused(str(refusal))
            )
        try:
            with ExitStack() as stack:
                if command.terminal is not None:
                    stack.enter_context(terminal.raw(self.stdio.stdin))
                    stack.enter_context(_forward_resizes(end, self.stdio.stdin))
                return await self._serve(end, connection)
        finally:
            end.abort()

    async def _serve(self, end: CommandEndpoint, connection: Connection) -> Outcome:
        loop = asyncio.get_running_loop()
        stdin = os.open(os.devnull, os.O_RDONLY) if self.plan.stdin_is_null else self.stdio.stdin
        try:
            out, out_here = await _socket_pair(SocketEndpoint())
            _, errors_here = await _socket_pair(end.stderr)
            threads = [
                loop.run_in_executor(None, self.stdio.copy_stdio, out_here, stdin),
                loop.run_in_executor(None, self.stdio.copy_stderr, errors_here),
            ]
            end.stderr.resume_reading(PauseReason.NO_PEER)
            join(out, end)
            over: set[asyncio.Future[Any]] = {end.exit_status, threads[0]}
            await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
            stdout_closed = not (end.exit_status.done() or end.received_eof)
            status = await end.exit_status
            await asyncio.gather(*threads)  # all output is written
        finally:
            if stdin != self.stdio.stdin:
                os.close(stdin)
        if stdout_closed:
            return StdoutClosed()
        if status is not None:
            return Exited(status)
        return self._connection_lost(end) if connection.is_closed else Exited(255)

    def _connection_lost(self, end: CommandEndpoint) -> ConnectionLost:
        """Return whether the session can be resumed.

        A stream between two programs cannot: the restarted program would receive the rest of the
        data without its beginning.
        """
        if self.plan.purpose is Purpose.SUBSYSTEM:
            return ConnectionLost(resumable=not (end.bytes_sent or end.bytes_received))
        return ConnectionLost(resumable=self.stdio.is_terminal or not end.bytes_sent)

    def _remote_command(self) -> RemoteCommand:
        plan, console = self.plan, self.stdio
        wanted = wants_terminal(plan.terminal, plan.purpose, stdin_is_terminal=console.is_terminal)
        requested = terminal.describe(console.stdin, console.terminal_name) if wanted else None
        kind = _KINDS[plan.purpose]
        return RemoteCommand(kind, plan.command, plan.environment, requested, plan.agent)


async def _socket_pair(end: SocketEndpoint) -> tuple[SocketEndpoint, socket.socket]:
    """Create a socket pair: one end for the event loop, the other for a thread."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    await asyncio.get_running_loop().create_connection(lambda: end, sock=ours)
    return end, theirs


@contextmanager
def _forward_resizes(end: CommandEndpoint, descriptor: int) -> Iterator[None]:
    """Send the terminal's size to the server whenever it changes."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, lambda: end.resize(*terminal.size(descriptor)))
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
