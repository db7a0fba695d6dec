"""Algorithm lists for asyncssh: the defaults of core.algorithms, or from OpenSSH's syntax."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from asyncssh.encryption import get_encryption_algs
from asyncssh.kex import get_kex_algs
from asyncssh.mac import get_mac_algs
from asyncssh.public_key import get_certificate_algs, get_public_key_algs
from msgspec import Struct

from tunnelkeeper.core.algorithms import (
    AES_GCM,
    CERTIFICATE_SUFFIX,
    CERTIFICATES,
    CIPHERS,
    KEY_EXCHANGES,
    MACS,
    RELAY_KEY_EXCHANGES,
    SIGNATURES,
)
from tunnelkeeper.core.failures import Cause, Failure, FailureError
from tunnelkeeper.core.text import printable
from tunnelkeeper.core.wildcards import matches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tunnelkeeper.core.configuration import Host, HostOptions

RSA_SHA2 = ("rsa-sha2-512", "rsa-sha2-256")
"""The signature algorithms of RSA keys (RFC 8332), in OpenSSH's order."""

_OLD_CERTIFICATE_NAMES = re.compile(r"OpenSSH_(6\.[56]|7\.[0-7])(?!\d)")
"""Servers that know an RSA certificate only by the name of its type (SSH_BUG_SIGTYPE)."""

_SILENT_ABOUT_SHA2 = re.compile(r"OpenSSH_7\.4(?!\d)")
"""Servers that support RFC 8332 without saying so (SSH_BUG_SIGTYPE74 of OpenSSH's compat.c)."""


class ServerSignatures(Struct, frozen=True):
    """What a server says about the signatures that it accepts.

    algorithms: its server-sig-algs (RFC 8308), empty if it sent none. version: its identification.
    """

    algorithms: frozenset[str] = frozenset()
    version: str = ""


NOTHING_KNOWN = ServerSignatures()
"""The statement of a server that sends none, such as one older than RFC 8308."""


def ciphers(host: Host) -> list[str]:
    """Return the ciphers to offer, in order of preference.

    AES-GCM is first if the processor has AES instructions: it is then twice as fast as
    chacha20-poly1305. Raises FailureError if none is supported.
    """
    first = AES_GCM if has_aes_instructions() else ()
    default = dict.fromkeys([*first, *CIPHERS])
    return _apply_spec("ciphers", host.ciphers, default, get_encryption_algs(), host)


def macs(host: Host) -> list[str]:
    """Return the MACs to offer.

    Raises FailureError if none is supported.
    """
    return _apply_spec("macs", host.macs, MACS, get_mac_algs(), host)


def key_exchanges(host: Host) -> list[str]:
    """Return the key exchange algorithms to offer.

    Raises FailureError if none is supported.
    """
    spec = host.kex_algorithms
    return _apply_spec("kex_algorithms", spec, KEY_EXCHANGES, get_kex_algs(), host)


def host_key_algorithms(
    host: Host, known_types: Sequence[str], *, prefer_certificates: bool
) -> list[str]:
    """Return the host key algorithms to offer: those of known keys first, as ssh does.

    prefer_certificates: a CA key is known. Otherwise certificates come last, for a server that has
    nothing else; the plain key in one may be known. Raises FailureError if none is supported.
    """
    spec, plain = host.host_key_algorithms, list(SIGNATURES)
    if spec is None:
        known = {name for key_type in known_types for name in _signature_names(key_type)}
        plain.sort(key=lambda name: name not in known)
    default = [*CERTIFICATES, *plain] if prefer_certificates else [*plain, *CERTIFICATES]
    return _apply_spec("host_key_algorithms", spec, default, _key_algorithms(), host)


def pubkey_accepted_algorithms(host: Host) -> list[str]:
    """Return the key and certificate algorithms of PubkeyAcceptedAlgorithms.

    Raises FailureError if none is supported.
    """
    spec, default = host.pubkey_accepted_algorithms, [*CERTIFICATES, *SIGNATURES]
    return _apply_spec("PubkeyAcceptedAlgorithms", spec, default, _key_algorithms(), host)


def ca_signature_algorithms(host: Host) -> list[str]:
    """Return the algorithms that CAs may sign host certificates with (CASignatureAlgorithms).

    Raises FailureError if none is supported.
    """
    spec = host.ca_signature_algorithms
    return _apply_spec("ca_signature_algorithms", spec, SIGNATURES, get_public_key_algs(), host)


class RelayAlgorithms(Struct, frozen=True):
    """The algorithms that the relay offers: what asyncssh supports of the defaults."""

    key_exchanges: list[str]
    ciphers: list[str]
    macs: list[str]
    signatures: list[str]


def relay_algorithms() -> RelayAlgorithms:
    """Return the relay's algorithms. It has no settings for them."""
    return RelayAlgorithms(
        _supported(RELAY_KEY_EXCHANGES, get_kex_algs()),
        _supported(CIPHERS, get_encryption_algs()),
        _supported(MACS, get_mac_algs()),
        _supported(SIGNATURES, get_public_key_algs()),
    )


def unsupported_names(options: HostOptions) -> Iterator[tuple[str, str]]:
    """Yield the key and a message for each list of the config file with names without effect."""
    for key, supported in _SUPPORTED.items():
        spec: str = getattr(options, key) or ""
        names, known = _split(spec), _decode_names(supported())
        unknown = [name for name in names if not any(matches(one, name) for one in known)]
        is_failure = unknown == names and spec[:1] not in {"+", "-", "^"}  # of _apply_spec
        if unknown and not is_failure:
            yield key, f"not supported: {printable(', '.join(unknown))}"


def signature_algorithms(host: Host) -> list[str]:
    """Return the signature algorithms for logins. A certificate's key signs like a plain key."""
    names = (name.removesuffix(CERTIFICATE_SUFFIX) for name in pubkey_accepted_algorithms(host))
    known = _decode_names(get_public_key_algs())
    return [name for name in dict.fromkeys(names) if name in known]


def is_key_type_accepted(host: Host, key_type: str) -> bool:
    """Return whether a key or certificate of a type may be offered.

    The rule is key_type_allowed_by_config() of OpenSSH's sshconnect2.c.
    """
    bare = key_type.removesuffix(CERTIFICATE_SUFFIX)
    suffix = key_type[len(bare) :]
    names = {key_type, *(name + suffix for name in _signature_names(bare))}
    return not names.isdisjoint(pubkey_accepted_algorithms(host))


def offered_algorithm(host: Host, key_type: str, server: ServerSignatures) -> str | None:
    """Return the algorithm name to offer a key or certificate with; None if none is possible.

    The rule is key_sig_algorithm() of OpenSSH's sshconnect2.c: only RSA keys have a choice, which
    is the first accepted algorithm that the server supports.
    """
    accepted = pubkey_accepted_algorithms(host)
    is_rsa = key_type in {"ssh-rsa", f"ssh-rsa{CERTIFICATE_SUFFIX}"}
    suffix = key_type.removeprefix("ssh-rsa") if is_rsa else ""
    has_old_names = bool(suffix) and _OLD_CERTIFICATE_NAMES.search(server.version)
    if not is_rsa or not server.algorithms or has_old_names:
        return key_type if key_type in accepted else None
    supported = server.algorithms
    if not suffix and _SILENT_ABOUT_SHA2.search(server.version):
        supported = frozenset(RSA_SHA2)
    names = {name + suffix for name in (*RSA_SHA2, "ssh-rsa") if name in supported}
    return next((name for name in accepted if name in names), None)


def signature_algorithm(algorithm: str, server: ServerSignatures) -> str:
    """Return the algorithm that signs for a key or certificate offered with an algorithm."""
    bare = algorithm.removesuffix(CERTIFICATE_SUFFIX)
    if bare != algorithm and bare.startswith("sk-"):
        return f"{bare}@openssh.com"
    if algorithm == f"ssh-rsa{CERTIFICATE_SUFFIX}":
        # A server that knows only the old name of a certificate checks no type of signature.
        return next((name for name in RSA_SHA2 if name in server.algorithms), bare)
    return bare


def is_post_quantum(key_exchange: str) -> bool:
    """Return whether a key exchange resists quantum computers (kex_is_pq_from_name() of ssh)."""
    return any(part in key_exchange for part in ("mlkem", "sntrup"))


def weak_key_exchange_warning(host: Host, key_exchange: str) -> str:
    """Return the warning that WarnWeakCrypto asks for, or an empty string."""
    asked_for = host.warn_weak_crypto and host.kex_algorithms is None
    if not asked_for or is_post_quantum(key_exchange):
        return ""
    return (
        f"the key exchange {key_exchange} is not post-quantum: the traffic could be recorded now "
        "and decrypted later (WarnWeakCrypto)"
    )


@cache
def has_aes_instructions() -> bool:
    """Return whether this processor has AES instructions; True if unknown."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True  # macOS: all its processors have them
    lines = [line for line in text.splitlines() if line.startswith(("flags", "Features"))]
    return not lines or " aes" in lines[0]


def _apply_spec(
    list_name: str,
    spec: str | None,
    default: Iterable[str],
    supported_names: Sequence[bytes],
    host: Host,
) -> list[str]:
    """Apply ssh_config's `+`, `-` and `^` to the default list and drop what asyncssh lacks.

    As in kex_assemble_names() of OpenSSH, each name is a pattern.
    """
    supported = _decode_names(supported_names)
    default = _supported(default, supported_names)
    if spec is None:
        return default
    names = [name for pattern in _split(spec) for name in supported if matches(name, pattern)]
    match spec[:1]:
        case "+":
            wanted = [*default, *names]
        case "^":
            wanted = [*names, *default]
        case "-":
            wanted = [name for name in default if name not in names]
        case _:
            wanted = names
    usable = list(dict.fromkeys(wanted))
    if not usable:
        raise FailureError(
            Failure(
                Cause.KEY_EXCHANGE,
                f"none of the {list_name} asked for is supported: {spec}",
                str(host),
                f"choose among: {', '.join(supported)}",
            )
        )
    return usable


def _supported(names: Iterable[str], supported: Sequence[bytes]) -> list[str]:
    return [name for name in names if name.encode("ascii") in supported]


def _split(spec: str) -> list[str]:
    return [name.strip() for name in spec.lstrip("+-^").split(",") if name.strip()]


def _signature_names(key_type: str) -> tuple[str, ...]:
    # RFC 8332: one RSA key has several signature algorithms.
    return RSA_SHA2 if key_type == "ssh-rsa" else (key_type,)


def _key_algorithms() -> list[bytes]:
    return get_certificate_algs() + get_public_key_algs()


def _decode_names(algorithms: Sequence[bytes]) -> list[str]:
    return [algorithm.decode("ascii") for algorithm in algorithms]


_SUPPORTED: Mapping[str, Callable[[], list[bytes]]] = {
    "ciphers": get_encryption_algs,
    "macs": get_mac_algs,
    "kex_algorithms": get_kex_algs,
    "host_key_algorithms": lambda: get_public_key_algs() + get_certificate_algs(),
    "pubkey_accepted_algorithms": lambda: get_public_key_algs() + get_certificate_algs(),
    "ca_signature_algorithms": get_public_key_algs,
}
"""What asyncssh supports, by key of the config file."""
