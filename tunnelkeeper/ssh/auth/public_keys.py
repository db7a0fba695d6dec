"""Public keys and user certificates in wire format, from files and from the agent.

It reads what is needed to offer a key and to find its private half. It verifies no signature of a
certificate authority: that is up to the server.
"""

from __future__ import annotations

import base64
import binascii

import asyncssh
from asyncssh.packet import String
from msgspec import Struct

from tunnelkeeper.core.algorithms import CERTIFICATE_SUFFIX
from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.regular_file import KEY_SIZE_LIMIT, read_regular_file
from tunnelkeeper.ssh.auth.key_blobs import FIELD_COUNTS, WireError, WireReader, plain_type
from tunnelkeeper.ssh.auth.openssh_certificate import USER_CERTIFICATE


class PublicKey(Struct, frozen=True):
    """A public key or a user certificate.

    key_type: its type, such as `ssh-rsa` or `ssh-rsa-cert-v01@openssh.com`.
    blob: what the server is offered. key: the public key without the certificate.
    """

    key_type: str
    blob: bytes
    key: bytes

    @property
    def is_certificate(self) -> bool:
        """Whether this is a certificate."""
        return self.key_type.endswith(CERTIFICATE_SUFFIX)


def decode(blob: bytes) -> PublicKey | None:
    """Return the key or user certificate in a blob; None for any other."""
    reader = WireReader(blob)
    try:
        key_type = reader.string().decode("ascii", "replace")
        if not key_type.endswith(CERTIFICATE_SUFFIX):
            return PublicKey(key_type, blob, blob) if key_type in FIELD_COUNTS else None
        bare = plain_type(key_type)
        if bare not in FIELD_COUNTS:
            return None
        reader.string()  # the nonce
        fields = [reader.string() for _ in range(FIELD_COUNTS[bare])]
        reader.integer(8)  # the serial number
        is_user_certificate = reader.integer(4) == USER_CERTIFICATE
    except WireError:
        return None
    key = b"".join(String(field) for field in (bare.encode(), *fields))
    return PublicKey(key_type, blob, key) if is_user_certificate else None


def load(path: str) -> PublicKey | None:
    """Return the public key of an identity file; None if it cannot be read without a passphrase.

    As sshkey_load_public() of OpenSSH's authfile.c: the file may itself be a public key. Otherwise
    its public key is in `PATH.pub`, or in the private key if that has OpenSSH's format.

    Raises OSError with one of EXHAUSTION_ERRNOS.
    """
    data = _read(path)
    public = _parse(data) or _parse(_read(f"{path}.pub"))
    if public is not None or b"-----BEGIN OPENSSH PRIVATE KEY-----" not in data:
        return public
    try:
        return decode(asyncssh.import_public_key(data).public_data)
    except ValueError:
        return None


def load_line(path: str) -> PublicKey | None:
    """Return the key of a file that is a public key or a certificate; None for any other.

    Raises OSError with one of EXHAUSTION_ERRNOS.
    """
    return _parse(_read(path))


def load_certificate(path: str) -> PublicKey | None:
    """Return the user certificate of a file; None if there is none.

    Raises OSError with one of EXHAUSTION_ERRNOS.
    """
    public = load_line(path)
    return public if public is not None and public.is_certificate else None


def certificate_problem(path: str) -> str:
    """Return why a file is no usable certificate, or an empty string."""
    try:
        public = _parse(read_regular_file(path, KEY_SIZE_LIMIT))
    except OSError as error:
        return printable(error.strerror or str(error))
    except ValueError:
        return "not a path"
    return "" if public is not None and public.is_certificate else "not a user certificate"


def _parse(data: bytes) -> PublicKey | None:
    """Return the first key of lines of `TYPE BASE64 [COMMENT]`."""
    if b"-----BEGIN " in data:
        return None
    for line in data.splitlines():
        words = line.split()
        if len(words) < 2 or words[0].startswith(b"#"):
            continue
        try:
            public = decode(base64.b64decode(words[1]))
        except binascii.Error:
            continue
        if public is not None and public.key_type.encode() == words[0]:
            return public
    return None


def _read(path: str) -> bytes:
    try:
        return read_regular_file(path, KEY_SIZE_LIMIT)
    except OSError as error:
        if error.errno in EXHAUSTION_ERRNOS:
            raise
        return b""
    except ValueError:  # a path with a null character
        return b""
