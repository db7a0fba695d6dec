"""A program on the server, over a channel of its own: a command, a subsystem or a shell.

RFC 4254 section 6. Its bytes go through the pump; what they are for is not known here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters, PauseReason, SocketEndpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

STDERR = 1
"""SSH_EXTENDED_DATA_STDERR: RFC 4254 section 5.2."""
SIGNALLED_EXIT_STATUS = 255
"""ssh's own exit status where a program was ended by a signal."""


class CommandKind(Enum):
    """How the server is asked for a program."""

    COMMAND = "exec"
    SUBSYSTEM = "subsystem"
    SHELL = "shell"


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal to ask for: its type, its size in characters, its modes (RFC 4254 section 8)."""

    name: str
    columns: int
    lines: int
    modes: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RemoteCommand:
    """What to run. text: the command, or the subsystem's name; a shell has none.

    agent: the socket of the agent to forward, or None.
    """

    kind: CommandKind
    text: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    terminal: Terminal | None = None
    agent_socket: str | None = None


class CommandRefusedError(Exception):
    """The server does not run it, and says so in these words."""


class StderrEndpoint(SocketEndpoint):
    """The socket that what a program writes to its standard error goes to."""

    def __init__(self, command: CommandEndpoint) -> None:
        super().__init__()
        self._command = command

    def pause_writing(self) -> None:
        """It takes no more: the program's channel holds."""
        self._command.pause_reading(PauseReason.STDERR_WRITE_PAUSED)

    def resume_writing(self) -> None:
        """It drains."""
        self._command.resume_reading(PauseReason.STDERR_WRITE_PAUSED)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody reads the errors any more; the program goes on."""
        super().connection_lost(exc)
        self._command.resume_reading(PauseReason.STDERR_WRITE_PAUSED)


class CommandEndpoint(ChannelEndpoint):
    """The channel of a program. ended: its exit status once it is over, None where there is none.

    Nothing of it moves before it is joined with a socket.
    """

    def __init__(self) -> None:
        super().__init__(Counters(), lambda opened: opened.pause_reading(PauseReason.NO_PEER))
        self.stderr = StderrEndpoint(self)
        self.exit_status: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._status: int | None = None

    @property
    def bytes_sent(self) -> int:
        """Bytes that the program was sent."""
        return self._counters.bytes_out

    @property
    def bytes_received(self) -> int:
        """Bytes that the program sent."""
        return self._counters.bytes_in

    def data_received(self, data: bytes, datatype: Any = None) -> None:
        """Hand data on, to where it belongs."""
        if datatype != STDERR:
            super().data_received(data, datatype)
            return
        try:
            self.stderr.write(data)
        except Exception as error:  # noqa: BLE001  asyncssh called this
            self._contain(error)

    def write_eof(self) -> None:
        """The program gets no more input. Its status comes last, so the channel stays."""
        if self._channel is not None:
            self._channel.write_eof()

    def close(self) -> None:
        """Close the channel; after the program has said its last, only its status is awaited."""
        if self.received_eof:
            self.peer = None
        else:
            super().close()

    def exit_status_received(self, status: int) -> None:
        """The program ended by itself."""
        self._status = status

    def exit_signal_received(self, *_: object) -> None:
        """The program was ended by a signal."""
        self._status = SIGNALLED_EXIT_STATUS

    def xon_xoff_requested(self, client_can_do: bool) -> None:
        """Part of asyncssh's session interface; the terminal is raw either way."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is gone."""
        super().connection_lost(exc)
        self.stderr.close()
        if not self.exit_status.done():
            self.exit_status.set_result(self._status)

    def resize(self, columns: int, lines: int) -> None:
        """Tell the server that the terminal has another size now."""
        if self._channel is not None:
            self._channel.change_terminal_size(columns, lines)
