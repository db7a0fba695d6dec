"""A command, subsystem or shell on the server, over a channel of its own (RFC 4254 section 6).

Its data goes through the pump. What the data means is not known here.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters, PauseReason, SocketEndpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

STDERR = 1
"""SSH_EXTENDED_DATA_STDERR: RFC 4254 section 5.2."""
SIGNALLED_EXIT_STATUS = 255
"""The exit status of ssh(1) when a signal ended the remote command."""


class CommandKind(Enum):
    """The channel request that starts the command."""

    COMMAND = "exec"
    SUBSYSTEM = "subsystem"
    SHELL = "shell"


class Terminal(Struct, frozen=True):
    """A terminal to request: its type, its size in characters, its modes (RFC 4254 section 8)."""

    name: str
    columns: int
    lines: int
    modes: Mapping[int, int] = field(default_factory=dict)


class RemoteCommand(Struct, frozen=True):
    """The command to run.

    Attributes:
        text: The command, or the subsystem's name. Empty for a shell.
        agent_socket: The socket of the agent to forward, or None.
    """

    kind: CommandKind
    text: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    terminal: Terminal | None = None
    agent_socket: str | None = None


class CommandRefusedError(Exception):
    """Raised when the server does not run the command. The message is the server's text."""


class StderrEndpoint(SocketEndpoint):
    """The socket that receives the command's standard error."""

    def __init__(self, command: CommandEndpoint) -> None:
        super().__init__()
        self._command = command

    def pause_writing(self) -> None:
        """Pause the command's channel: the socket is full."""
        self._command.pause_reading(PauseReason.STDERR_WRITE_PAUSED)

    def resume_writing(self) -> None:
        """Resume the command's channel: the socket has drained."""
        self._command.resume_reading(PauseReason.STDERR_WRITE_PAUSED)

    def connection_lost(self, exc: Exception | None) -> None:
        """Resume the channel without a reader of standard error. The command continues."""
        super().connection_lost(exc)
        self._command.resume_reading(PauseReason.STDERR_WRITE_PAUSED)


class CommandEndpoint(ChannelEndpoint):
    """The channel of a command. It stays paused until it is joined with a socket.

    Attributes:
        exit_status: The exit status once the command has ended; None if the server sent none.
    """

    def __init__(self) -> None:
        super().__init__(Counters(), lambda opened: opened.pause_reading(PauseReason.NO_PEER))
        self.stderr = StderrEndpoint(self)
        self.exit_status: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._status: int | None = None

    @property
    def bytes_sent(self) -> int:
        """Bytes sent to the command."""
        return self._counters.bytes_out

    @property
    def bytes_received(self) -> int:
        """Bytes received from the command."""
        return self._counters.bytes_in

    def data_received(self, data: bytes, datatype: Any = None) -> None:
        """Pass standard output to the peer, and standard error to its own socket."""
        if datatype != STDERR:
            super().data_received(data, datatype)
            return
        try:
            self.stderr.write(data)
        except Exception as error:  # noqa: BLE001  asyncssh called this
            self._contain(error)

    def write_eof(self) -> None:
        """Send EOF. The channel stays open, because the exit status comes last."""
        if self._channel is not None:
            self._channel.write_eof()

    def close(self) -> None:
        """Close the channel. After the command's EOF, wait for its exit status instead."""
        if self.received_eof:
            self.peer = None
        else:
            super().close()

    def exit_status_received(self, status: int) -> None:
        """Store the exit status of a command that ended by itself."""
        self._status = status

    def exit_signal_received(self, *_: object) -> None:
        """Store the exit status of a command that a signal ended."""
        self._status = SIGNALLED_EXIT_STATUS

    def xon_xoff_requested(self, client_can_do: bool) -> None:
        """Do nothing: the terminal is raw either way. Required by asyncssh."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Close standard error and report the exit status: the channel is closed."""
        super().connection_lost(exc)
        self.stderr.close()
        if not self.exit_status.done():
            self.exit_status.set_result(self._status)

    def resize(self, columns: int, lines: int) -> None:
        """Send the terminal's new size to the server."""
        if self._channel is not None:
            self._channel.change_terminal_size(columns, lines)
