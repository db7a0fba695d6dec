"""The relay's own keys: read from their files, and made on the first start."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import asyncssh

NEW_KEY = "ssh-ed25519"


class HostKeyError(Exception):
    """A host key cannot be used; the text says which and what to do."""


def load(path: Path) -> asyncssh.SSHKey:
    """Read a host key; where there is none yet, make one that only its owner can read.

    Raises HostKeyError.
    """
    try:
        if not path.exists():
            with suppress(FileExistsError):  # another process was quicker, and its key counts
                make_key(path)
        return read(path)
    except OSError as error:
        raise HostKeyError(f"{path}: {error.strerror or error}") from error


def read(path: Path) -> asyncssh.SSHKey:
    """Read a host key that is there.

    Raises HostKeyError, OSError.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise HostKeyError(f"{path}: others can read it (mode {mode:04o}); run `chmod 600 {path}`")
    try:
        return asyncssh.import_private_key(path.read_bytes())
    except asyncssh.KeyEncryptionError as error:
        raise HostKeyError(f"{path}: has a passphrase; a host key must have none") from error
    except (asyncssh.KeyImportError, UnicodeError) as error:
        raise HostKeyError(f"{path}: not a private key: {error}") from error


def make_key(path: Path) -> str:
    """Write a new key that only its owner can read; its public half as `type base64`.

    It is there whole or not at all. Raises OSError, FileExistsError where there is a file already.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = asyncssh.generate_private_key(NEW_KEY, comment="tunnelkeeper relay")
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.export_private_key("openssh"))
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
    finally:
        draft.unlink()
    return " ".join(key.export_public_key().decode("ascii").split()[:2])
