"""Client callbacks of asyncssh during a login: whether a host key is valid, which key is next.

There is one object per connection. It also records how the connection ended.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncssh

from tunnelkeeper.core.text import printable
from tunnelkeeper.net.out_of_memory import end_if_out_of_memory
from tunnelkeeper.ssh.errors import describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.ssh.auth.host_key_verifier import HostKeyVerifier
    from tunnelkeeper.ssh.auth.identities import Identities, Offer
    from tunnelkeeper.ssh.transport import ClientTransport


MAX_TEXTS = 50
"""Banners and debug messages of one connection that are logged."""


class ClientCallbacks(asyncssh.SSHClient):
    """The client callbacks of one connection.

    Attributes:
        ended: The exception that ended the connection, or None after an orderly end.
        banner: The server's message at the login (RFC 4252 section 5.4), made printable.
    """

    _transport: ClientTransport  # set before any other callback

    def __init__(
        self, verifier: HostKeyVerifier, identities: Identities, debug: Callable[[str], None]
    ) -> None:
        self.ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.banner = ""
        self._texts = 0
        self._verifier = verifier
        self._identities = identities
        self._debug = debug

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Store the connection: a debug message belongs to one of its requests."""
        self._transport = conn  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        """Record how the connection ended."""
        self._identities.close()
        if not self.ended.done():
            self.ended.set_result(exc)

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Return whether to accept a host key. asyncssh knows none, so it asks about each."""
        del host, addr, port
        return self._verifier.verify(key)

    async def public_key_auth_requested(self) -> Offer | None:  # type: ignore[override]
        """Return the next key to offer, or None."""
        try:
            transport = self._transport
            return await self._identities.next_key(
                transport.server_signatures, transport.session_binding
            )
        except (
            Exception
        ) as error:  # an exception here would close the connection and hide the reason
            end_if_out_of_memory()
            self._debug(f"reading the keys failed: {describe(error)}")
            return None

    def auth_banner_received(self, msg: str, lang: str) -> None:
        """Log the server's banner."""
        del lang
        self.banner = printable(msg.strip())
        self._log_text(f"banner: {self.banner}")

    def debug_msg_received(self, msg: str, lang: str, always_display: bool) -> None:
        """Record and log a debug message of the server (RFC 4253 section 11.3)."""
        del lang, always_display
        self._transport.record_debug_message(msg)
        self._log_text(f"the server says: {printable(msg.strip())}")

    def _log_text(self, text: str) -> None:
        """Log a text of the server, up to MAX_TEXTS."""
        self._texts += 1
        if self._texts <= MAX_TEXTS:
            self._debug(text)
        elif self._texts == MAX_TEXTS + 1:
            self._debug("further messages of the server are not logged")
