"""Public keys and certificates in wire format: the parts that a policy looks at.

The formats are those of RFC 4251 section 5, RFC 4253 section 6.6 and OpenSSH's PROTOCOL.certkeys.
asyncssh verifies signatures; this module does not.
"""

from __future__ import annotations

from asyncssh.public_key import get_certificate_algs, get_public_key_algs

from tunnelkeeper.core.algorithms import CERTIFICATE_SUFFIX

RSA_TYPES = frozenset({b"ssh-rsa", b"rsa-sha2-256", b"rsa-sha2-512"})

FIELD_COUNTS = {
    "ssh-rsa": 2,
    "ssh-dss": 4,
    "ssh-ed25519": 1,
    "ssh-ed448": 1,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "ecdsa-sha2-1.3.132.0.10": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
"""The number of fields of a public key after its type (RFC 4253, 5656, 8709; PROTOCOL.u2f). A
certificate repeats them after its nonce."""


def plain_type(key_type: str) -> str:
    """Return the key type of a certificate type; other types as they are."""
    bare = key_type.removesuffix(CERTIFICATE_SUFFIX)
    return f"{bare}@openssh.com" if bare != key_type and bare.startswith("sk-") else bare


def rsa_bits(blob: bytes) -> int | None:
    """Return the size of an RSA key or of the key in an RSA certificate; None for other types."""
    reader = WireReader(blob)
    try:
        name = reader.string()
        bare = name.removesuffix(CERTIFICATE_SUFFIX.encode())
        if bare not in RSA_TYPES:
            return None
        if bare != name:
            reader.string()  # a certificate's nonce
        reader.string()  # the public exponent
        return int.from_bytes(reader.string()).bit_length()
    except WireError:
        return None


def host_key_in(payload: bytes) -> bytes | None:
    """Return the host key at the beginning of a server's key exchange message, or None.

    The reply of every method begins with it (RFC 4253 section 8, RFC 4419, RFC 5656).
    """
    try:
        blob = WireReader(payload).string()
        name = WireReader(blob).string()
    except WireError:
        return None
    known = (*get_public_key_algs(), *get_certificate_algs())
    return blob if name in known else None


class WireError(ValueError):
    """Raised if data in wire format ends too early."""


class WireReader:
    """Reads the data types of SSH from the beginning of some bytes to their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def is_at_end(self) -> bool:
        """Whether everything was read."""
        return self._position == len(self._data)

    def take(self, count: int) -> bytes:
        """Return the next bytes; raises WireError."""
        end = self._position + count
        if end > len(self._data):
            raise WireError("the data is cut short")
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def take_rest(self) -> bytes:
        """Return everything that was not read yet."""
        return self.take(len(self._data) - self._position)

    def integer(self, size: int) -> int:
        """Return an unsigned integer of a number of bytes; raises WireError."""
        return int.from_bytes(self.take(size))

    def string(self) -> bytes:
        """Return a string; raises WireError."""
        return self.take(self.integer(4))

    def strings(self) -> list[bytes]:
        """Return all strings up to the end; raises WireError."""
        found = []
        while not self.is_at_end:
            found.append(self.string())
        return found
