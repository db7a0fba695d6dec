"""What asyncssh asks while a connection comes up: is this host key good, which key is next.

One object per connection; it also learns first how the connection ended.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncssh

from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.ssh.auth.host_key_verifier import HostKeyVerifier
    from tunnelkeeper.ssh.auth.identities import Identities, OfferedKey
    from tunnelkeeper.ssh.transport import ClientTransport


class ClientCallbacks(asyncssh.SSHClient):
    """The answers to asyncssh's questions. ended: what the connection ended with, once it has."""

    _transport: ClientTransport  # there before any question

    def __init__(
        self, verifier: HostKeyVerifier, identities: Identities, debug: Callable[[str], None]
    ) -> None:
        self.ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._verifier = verifier
        self._identities = identities
        self._debug = debug

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Know the connection: what its server says in passing is about one of its requests."""
        self._transport = conn  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        """Note how it ended."""
        self._identities.close()
        if not self.ended.done():
            self.ended.set_result(exc)

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Judge a host key; asyncssh knows none by itself, so this is asked for each."""
        del host, addr, port
        return self._verifier.verify(key)

    async def public_key_auth_requested(self) -> OfferedKey | None:
        """The next key to offer."""
        try:
            return await self._identities.next_key()
        except Exception as error:  # it would close the connection and hide why
            self._debug(f"reading the keys failed: {printable(repr(error))}")
            return None

    def auth_banner_received(self, msg: str, lang: str) -> None:
        """Note the server's greeting."""
        del lang
        self._debug(f"banner: {printable(msg.strip())}")

    def debug_msg_received(self, msg: str, lang: str, always_display: bool) -> None:
        """Note what the server says in passing."""
        del lang, always_display
        self._transport.record_debug_message(msg)
        self._debug(f"the server says: {printable(msg.strip())}")
