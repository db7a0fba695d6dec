"""Private keys from files, and from memory for encrypted files. It asks for no passphrase."""

from __future__ import annotations

import os
import shlex
import stat
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

import asyncssh

from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.regular_file import KEY_SIZE_LIMIT, read_regular_file
from tunnelkeeper.net.thread_executor import SerialExecutor
from tunnelkeeper.ssh.auth import public_keys
from tunnelkeeper.ssh.auth.file_cache import FileCache
from tunnelkeeper.ssh.auth.key_encryption import encryption_of
from tunnelkeeper.ssh.auth.unlocked_keys import KeyFileVersion, UnlockedKeys

if TYPE_CHECKING:
    from tunnelkeeper.ssh.auth.public_keys import PublicKey


class Unusable(Enum):
    """The reason why a key file cannot be used."""

    MISSING = "missing"
    OPEN_TO_OTHERS = "open to others"
    ENCRYPTED = "encrypted"
    UNSUPPORTED = "unsupported"
    BROKEN = "broken"
    PUBLIC = "public"
    NOT_ACCEPTED = "not accepted"
    NO_SIGNATURE = "no signature"


@dataclass(frozen=True, slots=True)
class KeyProblem:
    """A key file that cannot be used. remedy: a command that fixes it, or empty.

    source_failed: whether a source that may have its passphrase gave none this time.
    """

    path: str
    kind: Unusable
    message: str
    remedy: str = ""
    source_failed: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


LoadedKey = asyncssh.SSHKey | KeyProblem


def is_locked(loaded: LoadedKey) -> TypeGuard[KeyProblem]:
    """Return whether a private key could be used if its passphrase were known."""
    return isinstance(loaded, KeyProblem) and loaded.kind is Unusable.ENCRYPTED


@dataclass(frozen=True, slots=True)
class IdentityFile:
    """What a path of identity_files stands for.

    private: The private key, or the problem with it.
    public: The public key, if a file has it.
    certificate: The certificate beside the key, if present.
    """

    private: LoadedKey
    public: PublicKey | None
    certificate: PublicKey | None


@dataclass(slots=True)
class PrivateKeys:
    """A cache of private keys by path.

    Connections share it because reading a large RSA key is slow.

    Attributes:
        unlocked: The decrypted keys of encrypted files.
    """

    unlocked: UnlockedKeys = field(default_factory=UnlockedKeys)
    _files: FileCache[LoadedKey] = field(default_factory=lambda: FileCache(_read_key))
    _executor: SerialExecutor = field(default_factory=SerialExecutor)

    async def read(self, path: str) -> IdentityFile:
        """Read the files of an identity in a thread.

        Raises OSError with one of EXHAUSTION_ERRNOS.
        """

        def read() -> IdentityFile:
            certificate = public_keys.load_certificate(f"{path}-cert.pub")
            return IdentityFile(self.load(path), public_keys.load(path), certificate)

        try:
            return await self._executor.read(path, read)
        except OSError as error:
            if error.errno in EXHAUSTION_ERRNOS:
                raise
            return IdentityFile(_unreadable_problem(path, error), None, None)

    async def read_certificate(self, path: str) -> PublicKey | None:
        """Read a certificate in a thread. Return None if it is missing or unreadable.

        Raises OSError with one of EXHAUSTION_ERRNOS.
        """
        try:
            return await self._executor.read(path, lambda: public_keys.load_certificate(path))
        except OSError as error:
            if error.errno in EXHAUSTION_ERRNOS:
                raise
            return None

    def load(self, path: str) -> LoadedKey:
        """Return the private key of a file, or the problem with it. This blocks.

        Raises OSError with one of EXHAUSTION_ERRNOS.
        """
        try:
            loaded = self._files.get(path)
            if not is_locked(loaded):
                return loaded
            return self.unlocked.find(KeyFileVersion.of(path)) or loaded
        except OSError as error:
            if error.errno in EXHAUSTION_ERRNOS:
                raise
            return _unreadable_problem(path, error)


def _check_permissions(path: str, status: os.stat_result) -> KeyProblem | None:
    """Return a problem if others can read a key of this user (sshkey_perm_ok in authfile.c)."""
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.getuid() or not mode & 0o077:
        return None
    message = f"its permissions {mode:04o} let others read it"
    return KeyProblem(path, Unusable.OPEN_TO_OTHERS, message, f"chmod 600 {path}")


def _read_key(path: str, status: os.stat_result) -> LoadedKey:
    """Read a private key file; raises OSError."""
    if public_keys.load_line(path) is not None:
        return _public_key_problem(path)
    data = read_regular_file(path, KEY_SIZE_LIMIT)
    problem = _check_permissions(path, status)
    if problem is not None:
        return problem
    try:
        encryption = encryption_of(data)
        if encryption is None:
            return asyncssh.import_private_key(data)
    except ValueError as error:
        return KeyProblem(path, Unusable.BROKEN, printable(str(error)))
    if encryption.problem:
        remedy = ssh_add(path)
        return KeyProblem(path, Unusable.UNSUPPORTED, encryption.problem, remedy)
    return _encrypted_problem(path)


def ssh_add(path: str) -> str:
    """Return the command that unlocks a key for the agent."""
    return printable(shlex.join(["ssh-add", path]))


def _public_key_problem(path: str) -> KeyProblem:
    """Return the problem with a public key named as an identity that the agent does not hold."""
    message = "it is a public key, and the agent does not hold its private key"
    private = path.removesuffix("-cert.pub" if path.endswith("-cert.pub") else ".pub")
    remedy = ssh_add(private)
    if private != path and Path(private).exists():
        remedy = f"name the private key in identity_files: {private}"
    return KeyProblem(path, Unusable.PUBLIC, message, remedy)


def _encrypted_problem(path: str) -> KeyProblem:
    remedy = ssh_add(path)
    return KeyProblem(path, Unusable.ENCRYPTED, "it is protected by a passphrase", remedy)


def _unreadable_problem(path: str, error: OSError) -> KeyProblem:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return KeyProblem(path, Unusable.MISSING, "no such file")
    return KeyProblem(path, Unusable.BROKEN, printable(error.strerror or str(error)))
