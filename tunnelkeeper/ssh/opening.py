"""Opening a channel by callbacks: no task and no future stand between a client and its channel.

asyncssh opens a channel in a coroutine that waits for the answer, and begins to read it in a task
of its own: four turns of the loop for every forwarded connection. Here the confirmation itself
makes the session, and what follows it in the same read is delivered at once. Where asyncssh's
inside is not the tested one, its coroutine is used. RFC 4254 section 5.1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.channel import SSHForwardChannel
from asyncssh.constants import MSG_CHANNEL_OPEN, OPEN_CONNECT_FAILED
from asyncssh.packet import String, UInt32

from tunnelkeeper.core.forwards import Address, TcpAddress, UnixAddress
from tunnelkeeper.ssh.short_way import IS_ON

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from asyncssh.packet import SSHPacket

    from tunnelkeeper.ssh.transport import Transport

Make = Callable[[], Any]
"""Makes the session of a channel that is open."""

Refused = Callable[[Exception], None]
"""Told once, with a ChannelOpenError or what ended the connection, where no channel comes."""

FIRST_WINDOW = 2 * 1024 * 1024
"""Bytes that a peer may send before it needs credit: as ssh and asyncssh have it."""

LARGEST_PACKET = 32 * 1024
"""Bytes of data in one packet (RFC 4253 section 6.1)."""

NEW_CHANNEL = None, "strict", FIRST_WINDOW, LARGEST_PACKET
"""Bytes, not text, in both directions."""

log = logging.getLogger(__name__)


def open_channel(
    transport: Transport, target: Address, origin: tuple[str, int], make: Make, refused: Refused
) -> None:
    """Open a channel to a target seen from the server: make or refused is called, once."""
    if not IS_ON:
        transport.open_in_own_task(_open(_coroutine(transport, target, origin, make), refused))
        return
    try:
        match target:
            case TcpAddress(host=host, port=port):
                channel: object = transport.create_tcp_channel(*NEW_CHANNEL)
                kind, details = b"direct-tcpip", [String(host), UInt32(port)]
            case UnixAddress(path=path):
                channel = transport.create_unix_channel(*NEW_CHANNEL)
                # PROTOCOL section 2.4 of OpenSSH has "reserved" fields where TCP has the origin.
                kind, details = b"direct-streamlocal@openssh.com", [String(path)]
                origin = ("", 0)
    except asyncssh.ChannelOpenError as error:  # the connection has ended
        refused(error)
        return
    assert isinstance(channel, OpeningChannel)  # noqa: S101
    channel.ask(make, refused, kind, *details, String(origin[0]), UInt32(origin[1]))


def _coroutine(
    transport: Transport, target: Address, origin: tuple[str, int], make: Make
) -> Awaitable[object]:
    match target:
        case TcpAddress(host=host, port=port):
            return transport.create_connection(make, host, port, *origin)
        case UnixAddress(path=path):
            return transport.create_unix_connection(make, path)


async def _open(opening: Awaitable[object], refused: Refused) -> None:
    try:
        await opening
    except (OSError, asyncssh.Error, AssertionError) as error:
        refused(error)


class OpeningChannel(SSHForwardChannel[bytes]):
    """A channel that tells by callbacks whether it is open."""

    _conn: Any
    _recv_chan: int
    _asked: tuple[Make, Refused] | None = None

    def ask(self, make: Make, refused: Refused, kind: bytes, *details: bytes) -> None:
        """Ask the peer to open it: make or refused is called, once."""
        self._asked = make, refused
        size = UInt32(self._recv_window), UInt32(self._recv_pktsize)
        number = UInt32(self._recv_chan)
        self._conn.send_packet(
            MSG_CHANNEL_OPEN, String(kind), number, *size, *details, handler=self
        )

    def process_open_confirmation(
        self, send_chan: int, send_window: int, send_pktsize: int, packet: SSHPacket
    ) -> None:
        """The peer has opened it."""
        if self._asked is None:
            super().process_open_confirmation(send_chan, send_window, send_pktsize, packet)
            return
        packet.check_end()
        make, _ = self._asked
        self._asked = None
        self._send_chan, self._send_window, self._send_pktsize = (
            send_chan,
            send_window,
            send_pktsize,
        )
        self._send_state = self._recv_state = "open"
        self._session = make()
        self._session.connection_made(self)
        self._session.session_started()
        if self._recv_paused == "starting":  # else the session has already said when
            self._recv_paused = False

    async def _finish_open_request(self, result: Any) -> None:
        """Serve a channel that the peer opens, as asyncssh does.

        But what its session holds back from the beginning stays back: asyncssh lets it receive.
        """
        await super(SSHForwardChannel, self)._finish_open_request(result)
        if self._session is not None:
            self._session.session_started()
            if self._recv_paused == "starting":
                self.resume_reading()

    def process_open_failure(self, code: int, reason: str, lang: str) -> None:
        """The peer does not open it."""
        if self._asked is None:
            super().process_open_failure(code, reason, lang)
            return
        _, refused = self._asked
        self._asked = None
        self._cleanup()
        self._tell(refused, asyncssh.ChannelOpenError(code, reason, lang))

    def _cleanup(self, exc: Exception | None = None) -> None:
        super()._cleanup(exc)
        if self._asked is not None:
            _, refused = self._asked
            self._asked = None
            closed = asyncssh.ChannelOpenError(OPEN_CONNECT_FAILED, "SSH connection closed")
            # In a later turn: by then the connection knows of its end, and says so when asked.
            self._loop.call_soon(self._tell, refused, closed)

    @staticmethod
    def _tell(refused: Refused, error: Exception) -> None:
        try:
            refused(error)
        except Exception:  # it would close the whole connection
            log.exception("a client whose channel was refused could not be turned away")
