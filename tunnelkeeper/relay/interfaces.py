"""What a transport asks of the relay: who may log in, and what then is to be done; it does none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.forwarding.pump import ChannelEndpoint


class RequestHandler(Protocol):
    """Does what a client that is logged in asks for.

    What it refuses it says by ConnectError. Hosts and paths are as the client wrote them.
    """

    @property
    def channel_limit(self) -> int:
        """How many channels may be open at once; 0: any number."""

    async def open_tcp(self, host: str, port: int) -> ChannelEndpoint:
        """Reach a target; the session that serves the channel to it."""

    async def open_path(self, path: str) -> ChannelEndpoint:
        """Reach a Unix socket; the session that serves the channel to it."""

    async def listen_tcp(self, host: str, port: int) -> int:
        """Listen on a port or a name; the port, which is another one only for port 0."""

    async def listen_path(self, path: str) -> None:
        """Listen on a Unix socket."""

    def cancel_tcp(self, host: str, port: int) -> bool:
        """Listen there no more; whether it was listened on."""

    def cancel_path(self, path: str) -> bool:
        """Listen there no more; whether it was listened on."""


class AuthHandler(Protocol):
    """What a connection asks and tells the relay."""

    def auth_requested(self, user: bytes, method: bytes) -> str | None:
        """A request to log in has come; why the connection must end instead of an answer."""

    async def authenticate(
        self, user: str, key: bytes, verify_signature: Callable[[Any], bool]
    ) -> bool:
        """Whether a key lets this user in. proves: whether its signature is good, where it came."""

    def auth_failed(self) -> None:
        """The last request to log in was answered with a refusal."""

    def auth_completed(self) -> RequestHandler | None:
        """The user is in; where to take requests, None when the connection is being closed."""

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone. error: None after a proper end."""
