"""Interfaces that a server transport calls: authentication, and requests after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.forwarding.pump import ChannelEndpoint


class RequestHandler(Protocol):
    """Executes the requests of an authenticated client.

    It refuses by raising ConnectError. Hosts and paths are as the client wrote them.
    """

    @property
    def channel_limit(self) -> int:
        """The maximum number of open channels; 0: no limit."""

    def take_channel(self) -> str | None:
        """Count a channel that is about to be opened; return why it may not be, or None."""

    def give_back_channel(self) -> None:
        """Stop counting a channel."""

    async def open_tcp(self, host: str, port: int) -> ChannelEndpoint:
        """Connect to a target; return the session of the channel to it."""

    async def open_path(self, path: str) -> ChannelEndpoint:
        """Connect to a Unix socket; return the session of the channel to it."""

    async def listen_tcp(self, host: str, port: int) -> int:
        """Listen on a port or a name; return the port, which differs only for port 0."""

    async def listen_path(self, path: str) -> None:
        """Listen on a Unix socket."""

    def cancel_tcp(self, host: str, port: int) -> bool:
        """Stop listening; return whether the client was listening there."""

    def cancel_path(self, path: str) -> bool:
        """Stop listening; return whether the client was listening there."""


class AuthHandler(Protocol):
    """Authenticates the client of one connection."""

    def auth_requested(self, user: bytes, method: bytes) -> str | None:
        """Record a USERAUTH_REQUEST; return a reason to disconnect, or None."""

    async def authenticate(
        self, user: str, key: bytes, verify_signature: Callable[[Any], bool]
    ) -> bool:
        """Return whether a key may log in as a user.

        verify_signature: whether the signature is valid; true if the client has sent none.
        """

    def auth_failed(self) -> None:
        """Count the last request as refused."""

    def auth_completed(self) -> RequestHandler | None:
        """Return the handler of further requests, or None if the connection is being closed."""

    def connection_lost(self, error: Exception | None) -> None:
        """Handle the end of the connection. error: None after an orderly close."""
