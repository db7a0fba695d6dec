"""A SOCKS conversation on an open stream: the handshake, then the stream is handed over.

The stream is a client's socket (socks) or a channel of the server (remote without a destination);
the conversation is its peer until the request is known. The answer waits for the outcome.
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

HANDSHAKE_TIMEOUT = 30.0
"""Seconds a client may take to say what it wants."""


class SocksStream:
    """The peer of a stream until its SOCKS request is answered.

    on_request is called once, with the target; on_refused once with the reason, if there is none.
    """

    def __init__(
        self,
        stream: SocketEndpoint | ChannelEndpoint,
        on_request: Callable[[TcpAddress], None],
        on_refused: Callable[[str], None],
    ) -> None:
        self._stream = stream
        self._handshake = Handshake()
        self._on_request = on_request
        self._on_refused = on_refused
        self._deadline = asyncio.get_running_loop().call_later(HANDSHAKE_TIMEOUT, self._late)
        stream.peer = self
        stream.resume_reading(PauseReason.NO_PEER)

    @property
    def leftover(self) -> bytes:
        """What the client sent behind its request: the first bytes for the target."""
        return self._handshake.leftover

    def grant(self) -> None:
        """Tell the client that its target is connected."""
        self._stream.write(self._handshake.grant())

    def reject(self, reason: Reason) -> None:
        """Tell the client why not, and close."""
        self._stream.write(self._handshake.reject(reason))
        self._stream.close()

    def write(self, data: bytes) -> None:
        """Take bytes of the client."""
        answer = self._handshake.receive(data)
        if answer:
            self._stream.write(answer)
        if self._handshake.rejection is not None:
            self._deadline.cancel()
            self._on_refused(self._handshake.rejection)
            self._stream.close()
        elif self._handshake.request is not None:
            self._deadline.cancel()
            self._stream.pause_reading(PauseReason.HANDSHAKE)
            self._on_request(self._handshake.request)

    def write_eof(self) -> None:
        """The client said all it will; without a request there is nothing to do for it."""
        if self._handshake.request is None:
            self._stream.close()
            self._deadline.cancel()

    def pause_reading(self, reason: PauseReason) -> None:
        """Answers are a few bytes: nothing has to be held back for them."""

    def resume_reading(self, reason: PauseReason) -> None:
        """See `hold`."""

    def close(self) -> None:
        """Stop: the client is gone."""
        self._deadline.cancel()

    abort = close

    def _late(self) -> None:
        self._on_refused(f"no SOCKS request within {HANDSHAKE_TIMEOUT:.0f} s")
        self._stream.abort()
