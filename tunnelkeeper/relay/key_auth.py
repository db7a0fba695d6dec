"""Public key authentication: whether a key or certificate that a client offers is authorized.

The user's keys and the time are parameters; it reads no file and checks no login signature. The
reason of a refusal is for the log only; the client gets the same answer for every reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import asyncssh
from asyncssh.packet import PacketDecodeError
from asyncssh.public_key import (
    CERT_TYPE_USER,
    SSHOpenSSHCertificate,
    decode_ssh_certificate,
    decode_ssh_public_key,
)

from tunnelkeeper.core.algorithms import SIGNATURES
from tunnelkeeper.core.text import printable
from tunnelkeeper.relay import addresses, from_patterns
from tunnelkeeper.ssh.auth.key_blobs import rsa_bits
from tunnelkeeper.ssh.auth.openssh_certificate import (
    CertificateError,
    PresentedKey,
    is_certificate,
    parse_certificate,
    signer_of,
)

if TYPE_CHECKING:
    from tunnelkeeper.relay.authorized_keys import AuthorizedKey
    from tunnelkeeper.relay.key_file import KeyFile
    from tunnelkeeper.relay.key_options import KeyOptions

REQUESTS_PER_ATTEMPT = 4
"""An attempt is at most a query and a signature; a client that sends more requests cancels them."""

NOT_AUTHORIZED = "this key is not authorized"
"""The reason for a key that is in no line."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A key that a client offers. blob: the public key; for a certificate, the certified key."""

    key: asyncssh.SSHKey
    blob: bytes
    certificate: SSHOpenSSHCertificate | None = None

    @property
    def fingerprint(self) -> str:
        """The fingerprint, as ssh-keygen -l prints it."""
        return self.key.get_fingerprint()

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The fingerprints of the key and, for a certificate, of the authority that signed it."""
        if self.certificate is None:
            return (self.fingerprint,)
        return self.fingerprint, self.certificate.signing_key.get_fingerprint()

    @property
    def presented(self) -> PresentedKey:
        """The parts that a list of revoked keys may name."""
        certificate = self.certificate
        if certificate is None:
            return PresentedKey(self.blob)
        return PresentedKey(
            self.blob,
            certificate.signing_key.public_data,
            certificate._serial,  # noqa: SLF001  asyncssh has no other access to these
            certificate._key_id.encode(),  # noqa: SLF001
        )

    @property
    def valid_before(self) -> datetime | None:
        """The first moment at which the certificate is invalid; None for a plain key."""
        if self.certificate is None:
            return None
        try:
            return datetime.fromtimestamp(self.certificate._valid_before, UTC)  # noqa: SLF001
        except (ValueError, OverflowError, OSError):  # ssh-keygen's `forever`, and years from 10000
            return None


@dataclass(frozen=True, slots=True)
class Admitted:
    """An authorized key. line: its authorized_keys line; for a certificate, its authority's."""

    user: str
    key: Candidate
    line: AuthorizedKey

    @property
    def identity(self) -> tuple[str, bytes]:
        """User and key: connections with the same identity may take over each other's bindings."""
        return self.user, self.key.blob

    @property
    def options(self) -> KeyOptions:
        """The key's options: a certificate can only restrict what its authority's line grants."""
        forwards = self.line.options.port_forwarding and _has(self.key, "permit-port-forwarding")
        return replace(self.line.options, port_forwarding=forwards)

    @property
    def ends_at(self) -> datetime | None:
        """The first moment at which the key is no longer valid, by line and certificate."""
        expires = self.line.options.expires
        after = None
        if expires is not None and expires < datetime.max.replace(tzinfo=UTC):
            after = expires + timedelta.resolution
        return min(filter(None, (after, self.key.valid_before)), default=None)

    @property
    def touch_required(self) -> bool:
        """Whether a security key must be touched; only line and certificate together waive it."""
        return self.line.options.touch_required or not _has(self.key, "no-touch-required")


@dataclass(frozen=True, slots=True)
class Denied:
    """A refused key. reason: for the log only."""

    reason: str


class AuthAttempts:
    """The authentication attempts of one connection. limit: of failures; 0: no limit."""

    def __init__(self, limit: int) -> None:
        self.failed = 0
        self._limit = limit
        self._requests = 0
        self._user: bytes | None = None
        self._is_counted = False

    def record_request(self, user: bytes, method: bytes) -> str | None:
        """Record a request; return sshd's reason to disconnect, or None."""
        self._requests += 1
        # As in sshd (auth2.c), a first "none", which asks for the list of methods, is free.
        self._is_counted = method != b"none" or self._requests > 1
        if self._user not in {None, user}:
            return "Change of username or service not allowed"
        self._user = user
        many = self._limit and self._requests > REQUESTS_PER_ATTEMPT * (self._limit + 1)
        if many or (self._limit and self.failed >= self._limit):
            return "Too many authentication failures"
        return None

    def record_failure(self) -> None:
        """Count the last request as failed."""
        self.failed += self._is_counted


def is_listed(data: bytes, keys: KeyFile) -> bool:
    """Return whether an offered key, or the signer of a certificate, appears in authorized_keys.

    Parsing and verifying a key is worth its time only then; anyone can offer keys.
    """
    blob = signer_of(data) if is_certificate(data) else data
    return blob is not None and blob in keys


def parse_key(data: bytes) -> Candidate | None:
    """Parse an offered public key (RFC 4253 section 6.6); return None if it is not one."""
    try:
        certificate = decode_ssh_certificate(data)
    except (asyncssh.KeyImportError, PacketDecodeError, ValueError):
        pass
    else:
        if not isinstance(certificate, SSHOpenSSHCertificate):
            return None  # X.509, which is not supported
        return Candidate(certificate.key, certificate.key.public_data, certificate)
    try:
        key = decode_ssh_public_key(data)
    except (asyncssh.KeyImportError, PacketDecodeError, ValueError):
        return None
    return Candidate(key, data)


def size_problem(candidate: Candidate, required: int) -> str | None:
    """Return why an RSA key is too small, by RequiredRSASize of sshd_config(5), or None."""
    bits = rsa_bits(candidate.blob)
    if bits is None or bits >= required:
        return None
    return f"an RSA key of {bits} bits, and required_rsa_size asks for {required}"


def authorize(
    candidate: Candidate, user: str, keys: KeyFile, source: str, now: datetime
) -> Admitted | Denied:
    """Authorize a key for a user. keys: the user's. source: the client's address."""
    certificate = candidate.certificate
    blob = candidate.blob if certificate is None else certificate.signing_key.public_data
    line = keys.find(blob, is_authority=certificate is not None)
    if line is None:
        return Denied(NOT_AUTHORIZED)
    options = line.options
    location = f"{printable(line.path, 4096)}:{line.number}"
    if options.expired(now):
        return Denied(f"the key expired ({location})")
    if options.sources is not None and not from_patterns.matches(options.sources, source, None):
        return Denied(f"the key may not be used from {source} ({location})")
    if certificate is not None and (
        reason := _certificate_problem(certificate, user, options, source)
    ):
        return Denied(f"certificate: {reason} ({location})")
    return Admitted(user, candidate, line)


def reauthorize(admitted: Admitted, keys: KeyFile, source: str, now: datetime) -> Admitted | Denied:
    """Authorize the key of an open connection again, after a reload.

    A connection must not keep rights that its key has lost, such as a channel that is already open.
    So if the new options do not grant all that the old ones did, it is denied.
    """
    verdict = authorize(admitted.key, admitted.user, keys, source, now)
    if isinstance(verdict, Denied):
        return verdict
    if not verdict.options.grants_all_of(admitted.options) or (
        verdict.touch_required and not admitted.touch_required
    ):
        location = f"{printable(verdict.line.path, 4096)}:{verdict.line.number}"
        return Denied(f"the options of the key grant less than before ({location})")
    return verdict


def _certificate_problem(
    certificate: SSHOpenSSHCertificate, user: str, options: KeyOptions, source: str
) -> str | None:
    """Return why a certificate of a trusted authority is refused, by sshd's rules, or None."""
    if not certificate.principals:  # as in sshd of OpenSSH 10.3; earlier ones let it in as anyone
        return "it has no principals"
    principals = options.principals
    if principals is not None and not set(principals) & set(certificate.principals):
        return "none of its principals is authorized"
    try:
        certificate.validate(CERT_TYPE_USER, user if principals is None else None)
    except ValueError as error:
        return printable(str(error))
    try:
        algorithm = parse_certificate(certificate.public_data).ca_algorithm
    except CertificateError as error:
        return printable(str(error))
    if algorithm not in SIGNATURES:
        return f"its authority signed it with {printable(algorithm, 60)}, which is not accepted"
    networks = certificate.options.get("source-address")
    if networks and not any(addresses.parse(source) in network for network in networks):  # type: ignore[attr-defined]
        return f"it may not be used from {source}"
    forced = certificate.options.get("force-command")
    if forced is not None and options.command is not None and forced != options.command:
        return "its forced command differs from its authority's line"
    return None


def _has(candidate: Candidate, extension: str) -> bool:
    """Return whether a certificate has an extension; true for a plain key."""
    certificate = candidate.certificate
    return certificate is None or bool(certificate.options.get(extension))
