"""What a client gets that asks for a shell, a command or sftp: a sentence, and the end.

The channel is opened and the request granted, since that is the only way to a message which ssh
shows; nothing is ever run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.channel import SSHServerChannel

if TYPE_CHECKING:
    import asyncio

    from asyncssh.connection import SSHServerConnection
    from asyncssh.packet import SSHPacket

MESSAGE = "this relay only forwards ports\r\n"
EXIT_STATUS = 1


class SessionChannel(SSHServerChannel[bytes]):
    """A session channel that keeps nothing of what its client says."""

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
    """Says its sentence to whoever wants something run."""

    def __init__(self) -> None:
        self._channel: SSHServerChannel[bytes] | None = None

    def connection_made(self, chan: SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        self._channel = chan

    def shell_requested(self) -> bool:
        """Granted, to be able to say why there is none."""
        return True

    def exec_requested(self, command: str) -> bool:
        """The same for a command."""
        del command
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        """The same for sftp."""
        del subsystem
        return True

    def session_started(self) -> None:
        """Say it and end."""
        if self._channel is not None and not self._channel.is_closing():
            self._channel.write_stderr(MESSAGE.encode("ascii"))
            self._channel.exit(EXIT_STATUS)

    def data_received(self, data: bytes, datatype: Any) -> None:
        """Nobody listens."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is gone."""
        del exc
        self._channel = None
