"""Public keys for authorized_keys files; they have no private key."""

from __future__ import annotations

import base64


def ssh_string(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def blob(seed: int = 1) -> bytes:
    """Return the blob of an ed25519 key."""
    return ssh_string(b"ssh-ed25519") + ssh_string(bytes([seed]) * 32)


def rsa_blob(bits: int) -> bytes:
    modulus = b"\0" + (1 << bits - 1 | 1).to_bytes(bits // 8)
    return ssh_string(b"ssh-rsa") + ssh_string(b"\1\0\1") + ssh_string(modulus)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def line(options: str = "", seed: int = 1, comment: str = "") -> str:
    """Return a line of authorized_keys."""
    words = (options, "ssh-ed25519", encoded(blob(seed)), comment)
    return " ".join(word for word in words if word)
