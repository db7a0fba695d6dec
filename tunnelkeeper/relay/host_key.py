"""The host keys of the relay: read from files, and generated on the first start."""

from __future__ import annotations

import os
import shlex
import tempfile
from contextlib import suppress
from pathlib import Path

import asyncssh

from tunnelkeeper.core.algorithms import SIGNATURES
from tunnelkeeper.core.configuration import MINIMUM_RSA_SIZE
from tunnelkeeper.net.regular_file import KEY_SIZE_LIMIT, read_regular_file
from tunnelkeeper.relay.strict_modes import UntrustedFileError, ensure_trusted, private_key_problem
from tunnelkeeper.ssh.auth.key_blobs import rsa_bits

NEW_KEY = "ssh-ed25519"
_NEW_KEY_HINT = f"use a key of type {NEW_KEY}; the relay makes one at a path without a file"


class HostKeyError(Exception):
    """Raised for an unusable host key. The text names the file.

    hint: what to do about it, or empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def load(
    path: Path, *, strict_modes: bool = True, required_rsa_size: int = MINIMUM_RSA_SIZE
) -> asyncssh.SSHKey:
    """Read a host key; generate it with mode 0600 if the file does not exist.

    strict_modes: whether to refuse one that other users could replace. Raises HostKeyError.
    """
    try:
        if strict_modes:
            with suppress(OSError):  # reported when the key is generated
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            ensure_trusted(path)
        if not path.exists():
            _generate(path)
        return read(path, required_rsa_size)
    except OSError as error:
        raise HostKeyError(f"{path}: {error.strerror or error}") from error
    except UntrustedFileError as error:
        raise HostKeyError(str(error), error.hint) from error


def _generate(path: Path) -> None:
    try:
        with suppress(FileExistsError):  # another process created it first, and its key counts
            make_key(path)
    except OSError as error:
        raise HostKeyError(
            f"{path}: cannot generate this host key: {error.strerror}",
            "name a file in host_keys whose folder the relay can write",
        ) from error


def read(path: Path, required_rsa_size: int = MINIMUM_RSA_SIZE) -> asyncssh.SSHKey:
    """Read an existing host key.

    Raises HostKeyError, OSError.
    """
    if problem := private_key_problem(path.stat()):
        raise HostKeyError(f"{path}: {problem}", f"chmod 600 {shlex.quote(str(path))}")
    try:
        key = asyncssh.import_private_key(read_regular_file(path, KEY_SIZE_LIMIT))
    except asyncssh.KeyEncryptionError as error:
        raise HostKeyError(
            f"{path}: it has a passphrase, and a host key must have none",
            f"ssh-keygen -p -N '' -f {shlex.quote(str(path))}",
        ) from error
    except (asyncssh.KeyImportError, UnicodeError) as error:
        raise HostKeyError(f"{path}: not a private key: {error}") from error
    algorithm, bits = key.algorithm.decode("ascii"), rsa_bits(key.public_data)
    if bits is None and algorithm not in SIGNATURES:
        raise HostKeyError(f"{path}: {algorithm} is not supported as a host key", _NEW_KEY_HINT)
    if bits is not None and bits < required_rsa_size:
        raise HostKeyError(
            f"{path}: an RSA key of {bits} bits, and required_rsa_size asks for "
            f"{required_rsa_size}",
            _NEW_KEY_HINT,
        )
    return key


def make_key(path: Path, comment: str = "tunnelkeeper relay") -> str:
    """Write a new key with mode 0600; return the public key as `type base64`.

    The write is atomic. Raises OSError, FileExistsError if the file already exists.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = asyncssh.generate_private_key(NEW_KEY, comment=comment)
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
