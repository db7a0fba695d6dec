"""The SOCKS handshake on an open stream, after which the stream carries the client's data.

The stream is a client's socket (`ssh -D`) or a channel of the server (`ssh -R` without a target).
The reply waits for the connect, which is the caller's; this module connects to nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tunnelkeeper.forwarding.pump import PauseReason
from tunnelkeeper.forwarding.socks import Handshake

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.connect_error import Reason
    from tunnelkeeper.core.forward_spec import TcpAddress
    from tunnelkeeper.forwarding.pump import ChannelEndpoint, SocketEndpoint
    from tunnelkeeper.forwarding.socks import Authenticate

HANDSHAKE_TIMEOUT = 30.0
"""Seconds a client may take to send its request."""


class SocksStream:
    """The peer of a stream until its SOCKS request is answered.

    It calls on_request once with the target, or on_error once with a message if the handshake
    fails. A client that closes early causes neither call. authenticate: as in Handshake.
    """

    def __init__(
        self,
        stream: SocketEndpoint | ChannelEndpoint,
        on_request: Callable[[TcpAddress], None],
        on_error: Callable[[str], None],
        authenticate: Authenticate | None = None,
    ) -> None:
        self._stream = stream
        self._handshake = Handshake(authenticate)
        self._on_request = on_request
        self._on_error = on_error
        self._deadline = asyncio.get_running_loop().call_later(HANDSHAKE_TIMEOUT, self._on_timeout)
        stream.peer = self
        stream.resume_reading(PauseReason.NO_PEER)

    @property
    def leftover(self) -> bytes:
        """Data that the client sent after its request: the first bytes for the target."""
        return self._handshake.leftover

    def grant(self) -> None:
        """Reply that the target is connected."""
        self._stream.write(self._handshake.grant())

    def reject(self, reason: Reason) -> None:
        """Reply with the reason for a failed connect, and close."""
        self._stream.write(self._handshake.reject(reason))
        self._stream.close()

    def write(self, data: bytes) -> None:
        """Take data of the client."""
        answer = self._handshake.receive(data)
        if answer:
            self._stream.write(answer)
        if self._handshake.rejection is not None:
            self._deadline.cancel()
            self._on_error(self._handshake.rejection)
            self._stream.close()
        elif self._handshake.request is not None:
            self._deadline.cancel()
            self._stream.pause_reading(PauseReason.HANDSHAKE)
            self._on_request(self._handshake.request)

    def write_eof(self) -> None:
        """Close, unless the client sent its request before its EOF."""
        if self._handshake.request is None:
            self._stream.close()
            self._deadline.cancel()

    def pause_reading(self, reason: PauseReason) -> None:
        """Do nothing: the replies are a few bytes."""

    def resume_reading(self, reason: PauseReason) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Stop: the client is gone."""
        self._deadline.cancel()

    abort = close

    def _on_timeout(self) -> None:
        self._on_error(f"no SOCKS request within {HANDSHAKE_TIMEOUT:.0f} s")
        self._stream.abort()
