"""Algorithm lists in OpenSSH's syntax made into what asyncssh takes, and the order nobody chose."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from asyncssh.encryption import get_default_encryption_algs, get_encryption_algs
from asyncssh.kex import get_default_kex_algs, get_kex_algs
from asyncssh.mac import get_default_mac_algs, get_mac_algs
from asyncssh.public_key import (
    get_certificate_algs,
    get_default_certificate_algs,
    get_default_public_key_algs,
    get_public_key_algs,
)

from tunnelkeeper.core.failures import Cause, Failure, FailureError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.configuration import Host

AES_GCM = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
"""First where the processor has AES instructions: twice as fast as chacha20-poly1305 there."""


CERTIFIED = "-cert-v01@openssh.com"
"""How the names of certificates' types end (PROTOCOL.certkeys of OpenSSH)."""


def ciphers(host: Host) -> list[str]:
    """The ciphers to offer, first choice first. Raises SshFailure where none can be had."""
    default = _names(get_default_encryption_algs())
    if host.ciphers is None and processor_has_aes():
        return [*AES_GCM, *(name for name in default if name not in AES_GCM)]
    return _chosen("ciphers", host.ciphers, default, _names(get_encryption_algs()), host)


def macs(host: Host) -> list[str]:
    """The MACs to offer. Raises SshFailure where none can be had."""
    known = _names(get_mac_algs())
    return _chosen("macs", host.macs, _names(get_default_mac_algs()), known, host)


def key_exchanges(host: Host) -> list[str]:
    """The key exchanges to offer. Raises SshFailure where none can be had."""
    known = _names(get_kex_algs())
    default = _names(get_default_kex_algs())
    return _chosen("kex_algorithms", host.kex_algorithms, default, known, host)


def host_keys(host: Host, known_types: Sequence[str], *, with_certificates: bool) -> list[str]:
    """The host key algorithms to offer: those of the keys already known first, as ssh does.

    Certificates are offered only where an authority is known; a server that has both then shows
    its plain key to the others. Raises SshFailure where none can be had.
    """
    certificates = _names(get_default_certificate_algs()) if with_certificates else []
    if host.host_key_algorithms is not None:
        known = _names(get_public_key_algs())
        known += _names(get_certificate_algs()) if with_certificates else []
        default = certificates + _names(get_default_public_key_algs())
        return _chosen("host_key_algorithms", host.host_key_algorithms, default, known, host)
    first = [name for key_type in known_types for name in _signatures(key_type)]
    supported = set(_names(get_public_key_algs()))
    ordered = [*certificates, *(name for name in first if name in supported)]
    return list(dict.fromkeys([*ordered, *_names(get_default_public_key_algs())]))


def logins(host: Host) -> list[str]:
    """The algorithms to log in by (PubkeyAcceptedAlgorithms): of keys, and of certificates.

    Raises SshFailure where none can be had.
    """
    # Nothing is left out by default: a server that is older than rsa-sha2 decides for itself.
    known = _names(get_certificate_algs()) + _names(get_public_key_algs())
    spec = host.pubkey_accepted_algorithms
    return _chosen("PubkeyAcceptedAlgorithms", spec, known, known, host)


def signatures(host: Host) -> list[str]:
    """The algorithms to sign a login with: a certificate's key signs as the bare key would."""
    names = (name.removesuffix(CERTIFIED) for name in logins(host))
    known = _names(get_public_key_algs())
    return [name for name in dict.fromkeys(names) if name in known]


def may_log_in(host: Host, key_type: str) -> bool:
    """Whether a key or a certificate of a type may be offered.

    As key_type_allowed_by_config() of OpenSSH's sshconnect2.c has it.
    """
    bare = key_type.removesuffix(CERTIFIED)
    suffix = key_type[len(bare) :]
    names = {key_type, *(name + suffix for name in _signatures(bare))}
    return not names.isdisjoint(logins(host))


@cache
def processor_has_aes() -> bool:
    """Whether this processor has AES instructions; where nobody can tell, it is taken to."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True  # macOS: every processor it runs on has them
    lines = [line for line in text.splitlines() if line.startswith(("flags", "Features"))]
    return not lines or " aes" in lines[0]


def _chosen(
    what: str, spec: str | None, default: list[str], known: list[str], host: Host
) -> list[str]:
    """Apply ssh_config's `+`, `-` and `^` to the default list and drop what asyncssh lacks."""
    if spec is None:
        return default
    names = [name.strip() for name in spec.lstrip("+-^").split(",") if name.strip()]
    match spec[:1]:
        case "+":
            wanted = [*default, *names]
        case "^":
            wanted = [*names, *default]
        case "-":
            wanted = [name for name in default if name not in names]
        case _:
            wanted = names
    possible = list(dict.fromkeys(name for name in wanted if name in known))
    if not possible:
        raise FailureError(
            Failure(
                Cause.KEY_EXCHANGE,
                f"none of the {what} asked for is supported: {spec}",
                str(host),
                f"choose among: {', '.join(known)}",
            )
        )
    return possible


def _signatures(key_type: str) -> tuple[str, ...]:
    # RFC 8332: one RSA key signs under several names.
    return ("rsa-sha2-512", "rsa-sha2-256") if key_type == "ssh-rsa" else (key_type,)


def _names(algorithms: Sequence[bytes]) -> list[str]:
    return [algorithm.decode("ascii") for algorithm in algorithms]
