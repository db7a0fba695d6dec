"""Refusal of shells, commands and sftp: a message to the client, then the end of the channel.

The channel is opened and the request granted, because ssh shows a message only then. Nothing is
ever run. SessionChannel overrides private request handlers of asyncssh 2.24.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.channel import SSHServerChannel

from tunnelkeeper.ssh.channels import FlowControlledChannel
from tunnelkeeper.ssh.peer_text import REQUEST_HANDLERS

if TYPE_CHECKING:
    import asyncio

    from asyncssh.connection import SSHServerConnection
    from asyncssh.packet import SSHPacket

MESSAGE = "this relay only forwards ports\r\n"
EXIT_STATUS = 1


class SessionChannel(FlowControlledChannel, SSHServerChannel[bytes]):
    """A session channel that ignores environment, X11 and agent requests."""

    _packet_handlers = {**SSHServerChannel._packet_handlers, **REQUEST_HANDLERS}  # noqa: RUF012, SLF001

    def __init__(
        self,
        connection: SSHServerConnection,
        loop: asyncio.AbstractEventLoop,
        window: int,
        max_pktsize: int,
    ) -> None:
        super().__init__(
            connection,
            loop,
            allow_pty=False,
            line_editor=False,
            line_echo=False,
            line_history=0,
            max_line_length=0,
            encoding=None,
            errors="strict",
            window=window,
            max_pktsize=max_pktsize,
        )

    def _process_env_request(self, packet: SSHPacket) -> bool:
        del packet
        return False

    def _process_x11_req_request(self, packet: SSHPacket) -> bool:
        del packet
        return False

    def _process_auth_agent_req_at_openssh_dot_com_request(self, packet: SSHPacket) -> bool:  # type: ignore[override]
        del packet
        return False


class NoShellSession(asyncssh.SSHServerSession[bytes]):
    """A session that answers every request to run something with MESSAGE."""

    def __init__(self) -> None:
        self._channel: SSHServerChannel[bytes] | None = None

    def connection_made(self, chan: SSHServerChannel[bytes]) -> None:
        """Store the channel."""
        self._channel = chan

    def shell_requested(self) -> bool:
        """Grant the request, so that the message can be sent."""
        return True

    def exec_requested(self, command: str) -> bool:
        """Grant the request, as for a shell."""
        del command
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        """Grant the request, as for a shell."""
        del subsystem
        return True

    def session_started(self) -> None:
        """Send the message and close the channel."""
        if self._channel is not None and not self._channel.is_closing():
            self._channel.write_stderr(MESSAGE.encode("ascii"))
            self._channel.exit(EXIT_STATUS)

    def data_received(self, data: bytes, datatype: Any) -> None:
        """Discard the data."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop the channel."""
        del exc
        self._channel = None
