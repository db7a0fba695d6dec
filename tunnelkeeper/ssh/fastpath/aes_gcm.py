"""AES-GCM for asyncssh with one cipher object per key; asyncssh makes one for every packet.

RFC 5647: the 12-byte nonce is 4 fixed bytes and a counter of 8 that goes up by one a packet.
"""

from __future__ import annotations

from struct import Struct

from asyncssh.crypto.cipher import GCMCipher
from asyncssh.encryption import GCMEncryption
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TAG_BYTES = 16
NONCE = Struct(">4sQ")
COUNTER_MASK = (1 << 64) - 1


class CachedGcm(GCMCipher):
    """Goes on where another cipher object of asyncssh's stands."""

    def __init__(self, cipher: GCMCipher) -> None:
        self._aes = AESGCM(cipher._key)  # noqa: SLF001  it is a GCMCipher itself
        self._fixed_nonce = cipher._iv[:4]  # noqa: SLF001
        self._counter = int.from_bytes(cipher._iv[4:], "big")  # noqa: SLF001

    def seal(self, header: bytes, data: bytes) -> bytes:
        """Encrypt one packet: the ciphertext and, behind it, the tag."""
        nonce = NONCE.pack(self._fixed_nonce, self._counter)
        self._counter = (self._counter + 1) & COUNTER_MASK
        return self._aes.encrypt(nonce, data, header)

    def peek(self, header: bytes | memoryview, sealed: bytes | memoryview) -> bytes:
        """Decrypt the next packet with its tag, and stay before it until `advance`.

        Raises InvalidTag.
        """
        nonce = NONCE.pack(self._fixed_nonce, self._counter)
        return self._aes.decrypt(nonce, sealed, header)

    def advance(self) -> None:
        """The packet that was peeked at is done with."""
        self._counter = (self._counter + 1) & COUNTER_MASK

    def encrypt_and_sign(self, header: bytes, data: bytes) -> tuple[bytes, bytes]:
        """What asyncssh calls for each packet that it sends."""
        sealed = self.seal(header, data)
        return header + sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]

    def verify_and_decrypt(self, header: bytes, data: bytes, mac: bytes) -> bytes | None:
        """What asyncssh calls for each packet that it receives; None: it was tampered with."""
        try:
            opened = self.peek(header, data + mac)
        except InvalidTag:
            return None
        self.advance()
        return opened


def install_cached_gcm(encryption: object) -> CachedGcm | None:
    """Let an encryption object of asyncssh's keep its cipher; None where it is not AES-GCM."""
    if not isinstance(encryption, GCMEncryption):
        return None
    cipher = encryption._cipher  # noqa: SLF001  its only way in
    if not isinstance(cipher, CachedGcm):
        cipher = CachedGcm(cipher)
        encryption._cipher = cipher  # noqa: SLF001
    return cipher
