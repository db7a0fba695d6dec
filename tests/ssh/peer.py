"""The other side of a connection whose keys are known: seals packets, and opens those it gets.

But for the encoding of fields it is written from the RFCs with nothing of asyncssh's or ours, so
that both can be held to it.
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
    """What one direction is sealed with. iv: of its first packet."""

    key: bytes
    iv: bytes

    def nonce(self, number: int) -> bytes:
        """That of a packet (RFC 5647 section 7.1)."""
        counter = int.from_bytes(self.iv[4:]) + number
        return self.iv[:4] + counter.to_bytes(8)


def opened(stream: bytes, keys: Keys) -> list[Packet]:
    """The packets of a stream."""
    aes, packets, at = AESGCM(keys.key), list[Packet](), 0
    while at < len(stream):
        header = stream[at : at + 4]
        end = at + 4 + int.from_bytes(header) + 16
        plain = aes.decrypt(keys.nonce(len(packets)), stream[at + 4 : end], header)
        packets.append((plain[1 : -plain[0]], len(plain)))
        at = end
    return packets


class Peer:
    """Seals what the other side might send, in order or not."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._aes = AESGCM(keys.key)
        self._sealed = 0

    def seal(self, plain: bytes) -> bytes:
        """A packet with anything in it."""
        header = UInt32(len(plain))
        sealed = header + self._aes.encrypt(self._keys.nonce(self._sealed), plain, header)
        self._sealed += 1
        return sealed

    def packet(self, number: int, *fields: bytes) -> bytes:
        """A packet as RFC 4253 section 6 has it."""
        payload = b"".join((Byte(number), *fields))
        padding = 4 + -(5 + len(payload)) % 16
        return self.seal(Byte(padding) + payload + bytes(padding))

    def data(self, data: bytes, channel: int = 0) -> bytes:
        """A CHANNEL_DATA packet."""
        return self.packet(MSG_CHANNEL_DATA, UInt32(channel), String(data))

    def adjust(self, size: int, channel: int = 0) -> bytes:
        """A CHANNEL_WINDOW_ADJUST packet."""
        return self.packet(MSG_CHANNEL_WINDOW_ADJUST, UInt32(channel), UInt32(size))
