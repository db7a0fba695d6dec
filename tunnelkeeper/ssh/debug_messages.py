"""Debug messages that give the reason of a rejected request. The reply has none (RFC 4254 4).

OpenSSH's sshd sends a debug message (RFC 4253 section 11.3) just before it refuses to listen if its
configuration or the key's options forbid it, and none if it cannot bind the port. Replies come in
the order of the requests, so a message belongs to the oldest unanswered request. This overrides
private parts of asyncssh's connections and rests on asyncssh 2.24.1.
"""

from __future__ import annotations

from typing import Any

import asyncssh
from asyncssh.constants import MSG_REQUEST_FAILURE

FORBIDDEN_PREFIXES = (
    "Server has disabled port forwarding",
    "Server has disabled streamlocal forwarding",
    "port forwarding refused",
)
"""Prefixes of such messages (serverloop.c and channels.c of OpenSSH); our relay adds its reason."""

_LISTEN_REQUESTS = frozenset({b"tcpip-forward", b"streamlocal-forward@openssh.com"})


class ForwardForbiddenError(asyncssh.ChannelListenError):
    """Raised when the server reports that it is not allowed to listen.

    Attributes:
        reason: The server's text.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DebugMessageMixin:
    """A connection that assigns each debug message to the request it is about."""

    _global_request_waiters: list[Any]
    _request_count = 0  # global requests so far

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._messages: dict[int, str] = {}

    def record_debug_message(self, message: str) -> None:
        """Store a debug message of the server for the oldest unanswered request."""
        waiting = len(self._global_request_waiters)
        if waiting and message.startswith(FORBIDDEN_PREFIXES):
            self._messages[self._request_count - waiting + 1] = message

    async def _make_global_request(self, request: bytes, *args: bytes) -> tuple[int, Any]:
        self._request_count += 1
        number = self._request_count
        try:
            kind, packet = await super()._make_global_request(request, *args)  # type: ignore[misc]
        finally:
            message = self._messages.pop(number, "")
        if message and kind == MSG_REQUEST_FAILURE and request in _LISTEN_REQUESTS:
            raise ForwardForbiddenError(message)
        return kind, packet
