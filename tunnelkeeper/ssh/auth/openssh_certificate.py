"""OpenSSH certificates: their wire format, and whether one is acceptable for a host.

The format is that of OpenSSH's PROTOCOL.certkeys. asyncssh refuses to parse a certificate with a
critical option or a key ID in another encoding; ssh parses it and then decides. This module reads
no file and no clock, and it does not know which CA keys are trusted.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncssh
from asyncssh.public_key import decode_ssh_public_key

from tunnelkeeper.core.algorithms import CERTIFICATE_SUFFIX
from tunnelkeeper.core.text import printable
from tunnelkeeper.ssh.auth.key_blobs import FIELD_COUNTS, WireError, WireReader, plain_type

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

USER_CERTIFICATE, HOST_CERTIFICATE = 1, 2  # SSH_CERT_TYPE_USER and _HOST of PROTOCOL.certkeys
MAX_NAMES = 4  # principals in a message
START_RETRIES = (0, 10, 60)
"""Seconds after the beginning of a user certificate's validity at which a login is tried again."""


class CertificateError(ValueError):
    """Raised for a malformed certificate, or one whose signature is invalid."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate whose signature by its CA key is valid, if is_verified.

    is_verified: false if the type of the CA key is not supported.
    key: the certified public key, in wire format. valid_after, valid_before: Unix times.
    critical_options: the packed options, empty if there are none.
    ca_algorithm: the algorithm of the CA's signature, such as `rsa-sha2-512`.
    """

    key: bytes
    kind: int
    key_id: bytes
    principals: tuple[str, ...]
    valid_after: int
    valid_before: int
    critical_options: bytes
    ca_key: bytes
    ca_algorithm: str
    is_verified: bool
    serial: int


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """A key that a server presents, with or without a certificate.

    blob: the plain key. ca_blob: the key that signed the certificate. serial and key_id are fields
    of the certificate.
    """

    blob: bytes
    ca_blob: bytes | None = None
    serial: int = 0
    key_id: bytes = b""


def is_certificate(blob: bytes) -> bool:
    """Return whether a key in wire format is a certificate."""
    length = int.from_bytes(blob[:4])
    return blob[4 : 4 + length].endswith(CERTIFICATE_SUFFIX.encode())


def presented_key(blob: bytes) -> PresentedKey:
    """Return the parts of a key or certificate. A malformed certificate counts as a key."""
    if not is_certificate(blob):
        return PresentedKey(blob)
    try:
        certificate = parse_certificate(blob)
    except CertificateError:
        return PresentedKey(blob)
    return PresentedKey(certificate.key, certificate.ca_key, certificate.serial, certificate.key_id)


def signer_of(blob: bytes) -> bytes | None:
    """Return the CA key in a certificate; None if it is malformed. Nothing else is parsed.

    The names and addresses in a certificate of 256 KiB take a second to parse.
    """
    reader = WireReader(blob)
    try:
        fields = FIELD_COUNTS.get(plain_type(_text(reader.string())))
        if fields is None:
            return None
        for _ in range(1 + fields):  # the nonce and the certified key
            reader.string()
        reader.take(8 + 4)  # serial and kind
        reader.string()  # the key ID
        reader.string()  # the principals
        reader.take(8 + 8)  # the validity
        for _ in range(3):  # critical options, extensions, reserved
            reader.string()
        return reader.string()
    except WireError:
        return None


def parse_certificate(blob: bytes) -> Certificate:
    """Parse a certificate and verify its signature.

    Raises:
        CertificateError: It is malformed, or its signature is invalid.
    """
    try:
        return _parse(WireReader(blob), blob)
    except WireError as error:
        raise CertificateError(f"the certificate is malformed: {error}") from None


def host_certificate_problem(
    certificate: Certificate, name: str, now: float, ca_algorithms: Collection[str]
) -> str:
    """Return why a certificate of a trusted CA is not acceptable for a host; empty if it is.

    The rules are those of sshkey_cert_check_host() in OpenSSH's sshkey.c.

    Args:
        name: The host's name without port, or its HostKeyAlias, in lower case.
        now: The Unix time.
        ca_algorithms: The algorithms that a CA may sign with.
    """
    if not certificate.is_verified:
        return "the type of its CA key is not supported"
    if certificate.kind != HOST_CERTIFICATE:
        return "it is not a host certificate"
    if now < certificate.valid_after:
        return (
            f"it is not valid before {format_time(certificate.valid_after)}, "
            f"and the clock of this machine says {format_time(now)}"
        )
    if now >= certificate.valid_before:
        return f"it expired at {format_time(certificate.valid_before)}"
    if certificate.principals and name not in certificate.principals:
        names = ", ".join(printable(each, 60) for each in certificate.principals[:MAX_NAMES])
        more = ", ..." if len(certificate.principals) > MAX_NAMES else ""
        return f"it is for {names}{more}, not for {name}"
    if certificate.critical_options:
        return "it has a critical option, and none is supported"
    if certificate.ca_algorithm not in ca_algorithms:
        allowed = ", ".join(ca_algorithms)
        algorithm = printable(certificate.ca_algorithm, 60)
        return f"its CA signed it with {algorithm}, and CASignatureAlgorithms allows {allowed}"
    return ""


def next_validity(certificates: Iterable[bytes], now: float) -> tuple[float, float] | None:
    """Return the validity of the certificate that becomes valid next, for the next attempt.

    A server whose clock is slow refuses a certificate that has just become valid, so the times
    after its beginning are START_RETRIES.
    """
    starts = []
    for blob in certificates:
        try:
            certificate = parse_certificate(blob)
        except CertificateError:
            continue
        times = [certificate.valid_after + delay for delay in START_RETRIES]
        starts += [(start, certificate.valid_before) for start in times if start > now][:1]
    return min(starts, default=None)


def format_time(moment: float) -> str:
    """Format a Unix time in UTC. A time beyond the calendar is named `forever`."""
    try:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "forever"


def _parse(reader: WireReader, blob: bytes) -> Certificate:
    key_type = plain_type(_text(reader.string()))
    if key_type not in FIELD_COUNTS:
        name = printable(key_type, 60)
        raise CertificateError(f"a certificate for a {name} key is not supported")
    reader.string()  # the nonce
    fields = [reader.string() for _ in range(FIELD_COUNTS[key_type])]
    serial, kind, key_id = reader.integer(8), reader.integer(4), reader.string()
    principals = tuple(map(_text, WireReader(reader.string()).strings()))
    valid_after, valid_before = reader.integer(8), reader.integer(8)
    critical_options = reader.string()
    reader.string()  # the extensions
    reader.string()  # reserved
    ca_key = reader.string()
    signature = reader.string()
    if not reader.is_at_end:
        raise CertificateError("the certificate has data after its signature")
    signed = blob[: -len(_packed(signature))]
    return Certificate(
        b"".join(map(_packed, [key_type.encode(), *fields])),
        kind,
        key_id,
        principals,
        valid_after,
        valid_before,
        critical_options,
        ca_key,
        _text(WireReader(signature).string()),
        _verify(ca_key, signed, signature),
        serial,
    )


def _verify(ca_key: bytes, signed: bytes, signature: bytes) -> bool:
    """Return whether the type of the CA key is supported. Raise if the signature is invalid."""
    try:
        key = decode_ssh_public_key(ca_key)
    except asyncssh.KeyImportError:
        return False
    try:
        is_valid = key.verify(signed, signature)
    except (ValueError, asyncssh.Error):
        is_valid = False
    if not is_valid:
        raise CertificateError("the signature of the certificate is invalid")
    return True


def _packed(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
