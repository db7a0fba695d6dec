"""A SOCKS conversation on an open stream: the handshake, then the stream is handed over.

The stream is a client's socket (socks) or a channel of the server (remote without a destination);
the conversation is its peer until the request is known. The answer waits for the outcome.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tunnelkeeper.forwarding.pump import Hold
from tunnelkeeper.forwarding.socks import Handshake, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.forwards import TcpAddress
    from tunnelkeeper.forwarding.pump import ChannelEnd, SocketEnd

HANDSHAKE_PATIENCE = 30.0
"""Seconds a client may take to say what it wants."""


class SocksStream:
    """The peer of a stream until its SOCKS request is answered.

    on_request is called once, with the target; on_refused once with the reason, if there is none.
    """

    def __init__(
        self,
        stream: SocketEnd | ChannelEnd,
        on_request: Callable[[TcpAddress], None],
        on_refused: Callable[[str], None],
    ) -> None:
        self._stream = stream
        self._handshake = Handshake()
        self._on_request = on_request
        self._on_refused = on_refused
        self._deadline = asyncio.get_running_loop().call_later(HANDSHAKE_PATIENCE, self._late)
        stream.peer = self
        stream.release(Hold.ALONE)

    @property
    def leftover(self) -> bytes:
        """What the client sent behind its request: the first bytes for the target."""
        return self._handshake.leftover

    def grant(self) -> None:
        """Tell the client that its target is connected."""
        self._stream.feed(self._handshake.reply(Outcome.GRANTED))

    def refuse(self, outcome: Outcome) -> None:
        """Tell the client why not, and close."""
        self._stream.feed(self._handshake.reply(outcome))
        self._stream.end(clean=True)

    def feed(self, data: bytes) -> None:
        """Take bytes of the client."""
        answer = self._handshake.receive(data)
        if answer:
            self._stream.feed(answer)
        if self._handshake.refused is not None:
            self._deadline.cancel()
            self._on_refused(self._handshake.refused)
            self._stream.end(clean=True)
        elif self._handshake.request is not None:
            self._deadline.cancel()
            self._stream.hold(Hold.HANDSHAKE)
            self._on_request(self._handshake.request)

    def feed_eof(self) -> None:
        """The client said all it will; without a request there is nothing to do for it."""
        if self._handshake.request is None:
            self._stream.end(clean=True)
            self._deadline.cancel()

    def hold(self, cause: Hold) -> None:
        """Answers are a few bytes: nothing has to be held back for them."""

    def release(self, cause: Hold) -> None:
        """See `hold`."""

    def end(self, *, clean: bool) -> None:
        """The client is gone."""
        del clean
        self._deadline.cancel()

    def _late(self) -> None:
        self._on_refused(f"no SOCKS request within {HANDSHAKE_PATIENCE:.0f} s")
        self._stream.end(clean=False)
