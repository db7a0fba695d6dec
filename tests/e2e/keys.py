"""Temporary keys and certificates, made with ssh-keygen."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.requirements import require


def make_key(
    path: Path, kind: str = "ed25519", passphrase: str = "", bits: int = 0, format_: str = ""
) -> Path:
    """Generate a private key at this path, and its public key in the same place with `.pub`."""
    path.unlink(missing_ok=True)
    options = [*(["-b", str(bits)] if bits else []), *(["-m", format_] if format_ else [])]
    _ssh_keygen("-q", "-t", kind, *options, "-N", passphrase, "-C", path.name, "-f", str(path))
    return path


def public(key: Path) -> str:
    """Return `type base64` of the public key, without the comment."""
    return " ".join(Path(f"{key}.pub").read_text().split()[:2])


def fingerprint(key: Path) -> str:
    """Return the SHA256:... fingerprint as ssh prints it."""
    return _ssh_keygen("-l", "-f", f"{key}.pub").split()[1]


def certify_user(authority: Path, key: Path, principal: str) -> Path:
    """Sign a user certificate for the key; return `KEY-cert.pub`, where ssh looks for it."""
    _ssh_keygen("-q", "-s", str(authority), "-I", "user", "-n", principal, f"{key}.pub")
    return Path(f"{key}-cert.pub")


def certify_host(authority: Path, key: Path, principal: str, serial: int = 0) -> Path:
    """Sign a host certificate for the key; return `KEY-cert.pub`."""
    options = ["-I", "host", "-h", "-n", principal, "-z", str(serial)]
    _ssh_keygen("-q", "-s", str(authority), *options, f"{key}.pub")
    return Path(f"{key}-cert.pub")


def _ssh_keygen(*arguments: str) -> str:
    command = [require("ssh-keygen"), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
