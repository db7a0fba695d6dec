"""AES-GCM for asyncssh with one cipher object per key; asyncssh creates one for every packet.

RFC 5647: the 12-byte nonce is 4 fixed bytes and an 8-byte counter that grows by one per packet.
This module reads and replaces private attributes of asyncssh 2.24.1.
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
    """A cipher that continues with the key, nonce and counter of an asyncssh cipher."""

    def __init__(self, cipher: GCMCipher) -> None:
        self._aes = AESGCM(cipher._key)  # noqa: SLF001  a subclass of GCMCipher
        self._fixed_nonce = cipher._iv[:4]  # noqa: SLF001
        self._counter = int.from_bytes(cipher._iv[4:], "big")  # noqa: SLF001

    def seal(self, header: bytes, data: bytes) -> bytes:
        """Encrypt one packet. Return the ciphertext followed by the tag."""
        nonce = NONCE.pack(self._fixed_nonce, self._counter)
        self._counter = (self._counter + 1) & COUNTER_MASK
        return self._aes.encrypt(nonce, data, header)

    def peek(self, header: bytes | memoryview, sealed: bytes | memoryview) -> bytes:
        """Decrypt the next packet and its tag without consuming it.

        The counter stays the same until `advance`, so asyncssh can still decrypt the packet. Raises
        InvalidTag.
        """
        nonce = NONCE.pack(self._fixed_nonce, self._counter)
        return self._aes.decrypt(nonce, sealed, header)

    def advance(self) -> None:
        """Consume the packet that `peek` decrypted."""
        self._counter = (self._counter + 1) & COUNTER_MASK

    def encrypt_and_sign(self, header: bytes, data: bytes) -> tuple[bytes, bytes]:
        """Encrypt one packet for asyncssh. Return the header with the ciphertext, and the tag."""
        sealed = self.seal(header, data)
        return header + sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]

    def verify_and_decrypt(self, header: bytes, data: bytes, mac: bytes) -> bytes | None:
        """Decrypt one packet for asyncssh. Return None if the tag is invalid."""
        try:
            opened = self.peek(header, data + mac)
        except InvalidTag:
            return None
        self.advance()
        return opened


def install_cached_gcm(encryption: object) -> CachedGcm | None:
    """Replace the cipher of an asyncssh encryption object. Return None if it is not AES-GCM."""
    if not isinstance(encryption, GCMEncryption):
        return None
    cipher = encryption._cipher  # noqa: SLF001  asyncssh has no accessor
    if not isinstance(cipher, CachedGcm):
        cipher = CachedGcm(cipher)
        encryption._cipher = cipher  # noqa: SLF001
    return cipher
