"""An established client connection, made without a handshake.

The keys are fixed and the wire is a fake, so a test controls every received byte and reads every
packet that was sent. `compare_paths` runs a scenario over the fast path and over asyncssh's own
code, and compares the results.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from functools import cache
from math import inf
from typing import TYPE_CHECKING, Any, cast

import asyncssh
import pytest
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_KEXINIT
from asyncssh.encryption import GCMEncryption, get_encryption
from asyncssh.packet import Byte

from tests.ssh.peer import Keys, Packet, Peer, decrypt_packets
from tunnelkeeper.ssh.channels import TcpChannel
from tunnelkeeper.ssh.fastpath import connection
from tunnelkeeper.ssh.fastpath.aes_gcm import CachedGcm
from tunnelkeeper.ssh.fastpath.receive_scheduler import ReceiveScheduler
from tunnelkeeper.ssh.transport import ClientTransport

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW = 2 * 1024 * 1024
PACKET = 32 * 1024
"""Bytes that a channel takes before they are read, and per packet: the values of OpenSSH."""

AES_GCM = b"aes128-gcm@openssh.com"
OURS = Keys(bytes(range(16)), bytes(range(12)))
THEIRS = Keys(bytes(range(16, 32)), bytes(range(100, 112)))


class Session(asyncssh.SSHTCPSession[bytes]):
    """Records the callbacks of a channel."""

    channel: Any = None

    def __init__(self) -> None:
        self.events: list[object] = []

    @property
    def received(self) -> bytes:
        return b"".join(event for event in self.events if isinstance(event, bytes))

    def data_received(self, data: bytes, datatype: Any = None) -> None:
        self.events.append(bytes(data) if datatype is None else (bytes(data), datatype))

    def eof_received(self) -> bool:
        self.events.append("eof")
        return True

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append(f"lost: {exc!r}")


class _Wire(asyncio.Transport):
    """Records the data that is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def pause_reading(self) -> None:
        """Do nothing: the test decides when data arrives."""

    def resume_reading(self) -> None:
        """Do nothing, as pause_reading()."""

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        """Do nothing: there is no connection to abort."""


class _FakeLoop:
    """The part of an event loop that an established connection needs."""

    def __init__(self) -> None:
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        self._calls.append((callback, args))

    def run(self) -> None:
        while self._calls:
            callback, args = self._calls.popleft()
            callback(*args)


class _CountingTransport(ClientTransport):
    """Counts the packets of the fast path."""

    sent_on_fast_path = received_on_fast_path = 0

    def send_data(self, seal: CachedGcm, channel: int, data: memoryview, largest: int) -> int:
        sent = super().send_data(seal, channel, data, largest)
        self.sent_on_fast_path += -(-sent // largest)
        return sent

    def _handle_packet(self, cipher: CachedGcm, plain: bytes) -> bool:
        served = super()._handle_packet(cipher, plain)
        self.received_on_fast_path += served
        return served


class _Owner(asyncssh.SSHClient):
    ended: str = ""

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = repr(exc)


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """The state that both paths must agree on.

    Attributes:
        received: The packet count and the AES-GCM invocations for them; None after the end.
        deferred: The packets that wait for new keys.
        ended: The error that ended the connection, or an empty string.
    """

    sent: list[Packet]
    deferred: list[bytes]
    send_seq: int
    gcm_invocations: int
    rekey_bytes_sent: int
    received: tuple[int, int] | None
    channels: list[tuple[object, ...]]
    ended: str


class Established:
    """The connection and its peer. A channel has the same number on both sides."""

    def __init__(self, *, theirs: Keys = THEIRS) -> None:
        self.wire = _Wire()
        self.peer = Peer(theirs)
        self._channels: list[tuple[Any, Any]] = []
        self.loop = cast("Any", _FakeLoop())
        self._owner = _Owner()
        self.transport: Any = _CountingTransport(self.loop, _options())
        self.transport.scheduler = ReceiveScheduler(self.loop, lambda: 0.0)  # a turn never ends
        self.transport._transport = self.wire
        self.transport._owner = self._owner
        self.transport._recv_handler = self.transport._recv_pkthdr
        self.transport._kex_complete = True
        self.transport._auth_complete = self.transport._auth_final = True
        self.transport._send_encryption = get_encryption(AES_GCM, OURS.key, OURS.iv)
        self.transport._recv_encryption = get_encryption(AES_GCM, theirs.key, theirs.iv)
        self.transport._send_enchdrlen = 1
        self.transport._send_blocksize = self.transport._recv_blocksize = 16
        self.transport._recv_macsize = 16
        self.transport._rekey_time = inf

    def open(
        self,
        session: Any = None,
        *,
        window: int = WINDOW,
        packet: int = PACKET,
        receives: int = WINDOW,
    ) -> Any:
        """Open a channel. window and packet are the peer's, receives is our window."""
        channel: Any = TcpChannel(self.transport, self.loop, None, "strict", receives, 1)
        session = session or Session()
        session.channel = channel
        self.adopt(channel, session, window, packet)
        return channel

    def adopt(self, channel: Any, session: Any, window: int, packet: int) -> None:
        """Make a channel of any kind open."""
        channel._session = session
        channel._send_chan = channel._recv_chan
        channel._send_window, channel._send_pktsize = window, packet
        channel._send_state = channel._recv_state = "open"
        channel._recv_paused = False
        self._channels.append((channel, session))

    @property
    def sessions(self) -> list[Any]:
        return [session for _, session in self._channels]

    @property
    def counts(self) -> tuple[int, int]:
        """The number of packets that were sent and received on the fast path."""
        return self.transport.sent_on_fast_path, self.transport.received_on_fast_path

    def receive(self, *pieces: bytes) -> None:
        """Receive data of the peer, read by read, and run the callbacks that each schedules.

        After the end of the connection nothing is read.
        """
        for piece in pieces:
            if self._owner.ended:
                return
            self.transport.data_received(piece)
            self.loop.run()

    @property
    def sent(self) -> list[Packet]:
        """The packets that were sent, without the cookie of a key exchange."""
        return [
            (payload[:1] + payload[17:] if payload[0] == MSG_KEXINIT else payload, length)
            for payload, length in decrypt_packets(b"".join(self.wire.sent), OURS)
        ]

    @property
    def sent_numbers(self) -> list[int]:
        """The message number of each packet that was sent."""
        return [payload[0] for payload, _ in self.sent]

    @property
    def sent_data(self) -> list[bytes]:
        """The data that was sent, packet by packet."""
        return [payload[9:] for payload, _ in self.sent if payload[0] == MSG_CHANNEL_DATA]

    @property
    def state(self) -> ConnectionState:
        transport = self.transport
        received = (transport._recv_seq, _invocations(transport._recv_encryption))
        return ConnectionState(
            self.sent,
            [Byte(number) + b"".join(fields) for number, fields in transport._deferred_packets],
            transport._send_seq,
            _invocations(transport._send_encryption),
            transport._rekey_bytes_sent,
            None if self._owner.ended else received,
            [
                (
                    channel._send_window,
                    channel._send_state,
                    channel._send_buf_len,
                    [(bytes(data), kind) for data, kind in channel._send_buf],
                    channel._recv_window,
                    channel._init_recv_window,
                    channel._recv_state,
                    [(bytes(data), kind) for data, kind in channel._recv_buf],
                    getattr(channel, "_delivered", 0),
                    session.events,
                )
                for channel, session in self._channels
            ],
            self._owner.ended,
        )


def compare_paths(scenario: Callable[[Established], object], **settings: Any) -> Established:
    """Run a scenario on two connections, one per path, and return the one of the fast path.

    Raises:
        AssertionError: The results differ.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "ENABLED", False)
        asyncssh_path = Established(**settings)
        scenario(asyncssh_path)
        patch.setattr(connection, "ENABLED", True)
        fast_path = Established(**settings)
        scenario(fast_path)
    assert asyncssh_path.counts == (0, 0)
    assert not isinstance(asyncssh_path.transport._recv_encryption._cipher, CachedGcm)
    assert fast_path.state == asyncssh_path.state
    return fast_path


def _invocations(encryption: GCMEncryption) -> int:
    cipher: Any = encryption._cipher
    if isinstance(cipher, CachedGcm):
        return cipher._counter
    return int.from_bytes(cipher._iv[4:])


@cache
def _options() -> asyncssh.SSHClientConnectionOptions:
    return asyncssh.SSHClientConnectionOptions(
        config=None,
        host="peer",
        known_hosts=None,
        client_keys=None,
        agent_path=None,
        gss_host=None,
        login_timeout=0,
        x509_trusted_certs=None,
        x509_trusted_cert_paths=[],
    )
