"""Decides whether a key that a client shows lets a user in: plain keys, certificates, their terms.

It is handed the keys of the user and the time, reads no file and checks no login's signature. Why
somebody is not let in is for the log; the client hears the same refusal whatever the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import asyncssh
from asyncssh.packet import PacketDecodeError
from asyncssh.public_key import (
    CERT_TYPE_USER,
    SSHOpenSSHCertificate,
    decode_ssh_certificate,
    decode_ssh_public_key,
)

from tunnelkeeper.core.text import printable
from tunnelkeeper.relay import addresses, from_patterns

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tunnelkeeper.relay.authorized_keys import AuthorizedKey
    from tunnelkeeper.relay.key_options import KeyOptions

REQUESTS_PER_ATTEMPT = 4
"""A try is a question and a signature at most; a client that sends more cancels its own tries."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A key that a client shows. blob: the public key, of a certificate the one it is about."""

    key: asyncssh.SSHKey
    blob: bytes
    certificate: SSHOpenSSHCertificate | None = None

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen -l prints it."""
        return self.key.get_fingerprint()


@dataclass(frozen=True, slots=True)
class Admitted:
    """A key that lets its user in. line: of authorized_keys, of a certificate its authority's."""

    user: str
    key: Candidate
    line: AuthorizedKey

    @property
    def identity(self) -> tuple[str, bytes]:
        """Whose listeners it may take over: those of the same user's same key."""
        return self.user, self.key.blob

    @property
    def options(self) -> KeyOptions:
        """What it may do: a certificate can only take from what its authority's line gives."""
        forwards = self.line.options.port_forwarding and _has(self.key, "permit-port-forwarding")
        return replace(self.line.options, port_forwarding=forwards)

    @property
    def touch_required(self) -> bool:
        """Whether a security key must have been touched, which both line and certificate spare."""
        return self.line.options.touch_required or not _has(self.key, "no-touch-required")


@dataclass(frozen=True, slots=True)
class Denied:
    """Why a key does not let its user in, for the log alone."""

    reason: str


class AuthAttempts:
    """The tries to log in of one connection. limit: how many may fail; 0: any number."""

    def __init__(self, limit: int) -> None:
        self.failed = 0
        self._limit = limit
        self._requests = 0
        self._user: bytes | None = None
        self._is_counted = False

    def record_request(self, user: bytes, method: bytes) -> str | None:
        """Note a request; why the connection must end instead of an answer, in sshd's words."""
        self._requests += 1
        # As sshd (auth2.c): asking for the list of methods by a first "none" is free.
        self._is_counted = method != b"none" or self._requests > 1
        if self._user not in {None, user}:
            return "Change of username or service not allowed"
        self._user = user
        many = self._limit and self._requests > REQUESTS_PER_ATTEMPT * (self._limit + 1)
        if many or (self._limit and self.failed >= self._limit):
            return "Too many authentication failures"
        return None

    def record_failure(self) -> None:
        """Note that the last request was refused."""
        self.failed += self._is_counted


def parse_key(data: bytes) -> Candidate | None:
    """Read what a client shows as its key (RFC 4253 section 6.6); None for what is no such key."""
    try:
        certificate = decode_ssh_certificate(data)
    except (asyncssh.KeyImportError, PacketDecodeError, ValueError):
        pass
    else:
        if not isinstance(certificate, SSHOpenSSHCertificate):
            return None  # of X.509, which nothing here checks
        return Candidate(certificate.key, certificate.key.public_data, certificate)
    try:
        key = decode_ssh_public_key(data)
    except (asyncssh.KeyImportError, PacketDecodeError, ValueError):
        return None
    return Candidate(key, data)


def authorize(
    candidate: Candidate, user: str, keys: Iterable[AuthorizedKey], source: str, now: datetime
) -> Admitted | Denied:
    """Whether a key lets a user in. keys: the user's. source: the client's address."""
    certificate = candidate.certificate
    blob = candidate.blob if certificate is None else certificate.signing_key.public_data
    is_authority = certificate is not None
    for line in keys:
        if line.blob == blob and line.options.cert_authority == is_authority:
            break
    else:
        return Denied("nobody authorized this key")
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


def _certificate_problem(
    certificate: SSHOpenSSHCertificate, user: str, options: KeyOptions, source: str
) -> str | None:
    """What speaks against a certificate of an authority that is trusted, as sshd sees it."""
    principals = options.principals
    if principals is not None and not set(principals) & set(certificate.principals):
        return "none of its principals is authorized"
    try:
        certificate.validate(CERT_TYPE_USER, user if principals is None else None)
    except ValueError as error:
        return printable(str(error))
    networks = certificate.options.get("source-address")
    if networks and not any(addresses.parse(source) in network for network in networks):  # type: ignore[attr-defined]
        return f"it may not be used from {source}"
    forced = certificate.options.get("force-command")
    if forced is not None and options.command is not None and forced != options.command:
        return "it forces another command than its authority's line"
    return None


def _has(candidate: Candidate, extension: str) -> bool:
    """Whether a certificate grants something; a plain key leaves it to its line."""
    certificate = candidate.certificate
    return certificate is None or bool(certificate.options.get(extension))
