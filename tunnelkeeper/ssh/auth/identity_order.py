"""The order of the identities of a login, as in pubkey_prepare() of OpenSSH's sshconnect2.c.

It does no I/O and drops no identity that the server or PubkeyAcceptedAlgorithms excludes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tunnelkeeper.ssh.auth.public_keys import PublicKey


@dataclass(frozen=True, slots=True)
class Identity:
    """One key or certificate that may be offered.

    name: the identity file, or the comment of an agent key that no file names.
    public: None if only the private key file knows it.
    in_agent: the agent holds exactly this key or certificate.
    """

    name: str
    public: PublicKey | None
    in_agent: bool = False

    def __str__(self) -> str:
        return f"{self.name} (agent)" if self.in_agent else self.name


def order_identities(
    certificates: Iterable[Identity],
    files: Iterable[Identity],
    agent: Iterable[Identity],
    *,
    identities_only: bool,
) -> tuple[Identity, ...]:
    """Return the identities in the order in which ssh tries them.

    Certificates of CertificateFile come first, then agent keys that a file names, other agent
    keys, and the remaining files. Agent keys keep the agent's order.
    """
    remaining = list(files)
    named, others = [], []
    for key in agent:
        match = next((file for file in remaining if _is_same(file, key)), None)
        if match is not None:
            remaining.remove(match)
            named.append(replace(match, in_agent=True))
        elif not identities_only:
            others.append(key)
    return (*certificates, *named, *others, *remaining)


def find_signer(identity: Identity, identities: Sequence[Identity]) -> Identity:
    """Return the identity that signs for another: for a certificate, the one with its plain key.

    As in sign_and_send_pubkey(), a private key file whose public key is unknown matches by its
    name. Otherwise the identity signs for itself.
    """
    certificate = identity.public
    if certificate is None or not certificate.is_certificate:
        return identity
    for candidate in identities:
        if candidate.public is not None and candidate.public.blob == certificate.key:
            return candidate
    if not identity.in_agent:
        names = {identity.name.removesuffix(suffix) for suffix in ("", ".pub", "-cert.pub")}
        for candidate in identities:
            if candidate.public is None and candidate.name in names:
                return candidate
    return identity


def _is_same(one: Identity, other: Identity) -> bool:
    return (
        one.public is not None and other.public is not None and one.public.blob == other.public.blob
    )
