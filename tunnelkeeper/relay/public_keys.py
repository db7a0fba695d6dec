"""Reads public keys as authorized_keys holds them: a type and the base64 of a blob.

It looks at their form and size only; no signature is checked here.
"""

from __future__ import annotations

import binascii

from tunnelkeeper.core.text import printable

# How many strings and integers (RFC 4251 section 5) the blob of each type has, its type included:
# RFC 4253 section 6.6, RFC 5656 section 3.1, RFC 8709 section 4, and OpenSSH's PROTOCOL.u2f.
_FIELDS = {
    "ssh-ed25519": 2,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "ssh-rsa": 3,
    "sk-ssh-ed25519@openssh.com": 3,
    "sk-ecdsa-sha2-nistp256@openssh.com": 4,
}
KEY_TYPES = frozenset(_FIELDS)
MINIMUM_RSA_BITS = 1024  # sshd_config(5), RequiredRSASize


class PublicKeyError(ValueError):
    """A public key cannot be used; the text says why."""


def parse_blob(algorithm: str, encoded: str) -> bytes:
    """The blob of a key. algorithm: one of KEY_TYPES.

    Raises PublicKeyError.
    """
    try:
        blob = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError:
        shown = printable(encoded, 60)
        raise PublicKeyError(f"expected a key in base64, got '{shown}'") from None
    fields = _strings(blob)
    if fields[0] != algorithm.encode("ascii"):
        found = printable(fields[0].decode("utf-8", "replace"), 60)
        raise PublicKeyError(f"the key type says '{algorithm}', the key itself '{found}'")
    if len(fields) != _FIELDS[algorithm]:
        raise PublicKeyError(f"the key is not made as a key of type '{algorithm}'")
    bits = int.from_bytes(fields[-1]).bit_length()
    if algorithm == "ssh-rsa" and bits < MINIMUM_RSA_BITS:
        raise PublicKeyError(f"expected an RSA key of {MINIMUM_RSA_BITS} bits or more, got {bits}")
    return blob


def _strings(blob: bytes) -> list[bytes]:
    """The strings that a blob consists of, at least one."""
    strings: list[bytes] = []
    while blob or not strings:
        length = int.from_bytes(blob[:4])
        string = blob[4 : 4 + length]
        if len(blob) < 4 or len(string) < length:
            raise PublicKeyError("the key is cut short")
        strings.append(string)
        blob = blob[4 + length :]
    return strings
