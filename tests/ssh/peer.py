"""The peer of a connection with known keys: encrypts packets, and decrypts those it receives.

Apart from the encoding of fields it is written from the RFCs and shares no code with asyncssh or
the package, so that it can check both.
"""

from __future__ import annotations

from dataclasses import dataclass

from asyncssh.constants import MSG_CHANNEL_DATA, MSG_CHANNEL_WINDOW_ADJUST
from asyncssh.packet import Byte, String, UInt32
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Packet = tuple[bytes, int]
"""A payload (RFC 4253 section 6), and the length of the packet with its padding."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one direction. iv: of its first packet."""

    key: bytes
    iv: bytes

    def nonce(self, number: int) -> bytes:
        """Return the nonce of a packet (RFC 5647 section 7.1)."""
        counter = int.from_bytes(self.iv[4:]) + number
        return self.iv[:4] + counter.to_bytes(8)


def decrypt_packets(stream: bytes, keys: Keys) -> list[Packet]:
    """Return the packets of a stream."""
    aes, packets, at = AESGCM(keys.key), list[Packet](), 0
    while at < len(stream):
        header = stream[at : at + 4]
        end = at + 4 + int.from_bytes(header) + 16
        plain = aes.decrypt(keys.nonce(len(packets)), stream[at + 4 : end], header)
        packets.append((plain[1 : -plain[0]], len(plain)))
        at = end
    return packets


class Peer:
    """Encrypts what the other side might send, valid or not."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._aes = AESGCM(keys.key)
        self._sealed = 0

    def seal(self, plain: bytes) -> bytes:
        """Return a packet with any content."""
        header = UInt32(len(plain))
        sealed = header + self._aes.encrypt(self._keys.nonce(self._sealed), plain, header)
        self._sealed += 1
        return sealed

    def packet(self, number: int, *fields: bytes) -> bytes:
        """Return a packet of RFC 4253 section 6."""
        payload = b"".join((Byte(number), *fields))
        padding = 4 + -(5 + len(payload)) % 16
        return self.seal(Byte(padding) + payload + bytes(padding))

    def data(self, data: bytes, channel: int = 0) -> bytes:
        """Return a CHANNEL_DATA packet."""
        return self.packet(MSG_CHANNEL_DATA, UInt32(channel), String(data))

    def adjust(self, size: int, channel: int = 0) -> bytes:
        """Return a CHANNEL_WINDOW_ADJUST packet."""
        return self.packet(MSG_CHANNEL_WINDOW_ADJUST, UInt32(channel), UInt32(size))
