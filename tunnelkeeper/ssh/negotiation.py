"""The negotiation of algorithms (RFC 4253 section 7.1): what the peer offers if nothing matches.

asyncssh 2.24.1 reports a mismatch of most lists as one long text, with our own list first. It does
not compare the host key algorithms, and the server then closes the connection without a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.connection import SSHConnection
from asyncssh.constants import MSG_KEXINIT
from asyncssh.encryption import encryption_needs_mac, get_encryption_algs
from asyncssh.kex import expand_kex_algs, get_kex_algs
from asyncssh.mac import get_mac_algs
from asyncssh.packet import PacketDecodeError, SSHPacket
from asyncssh.public_key import get_public_key_algs

from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LIST_LIMIT = 1500
"""Characters shown of a list of algorithms. The complete list of OpenSSH 9 has 700."""


class AlgorithmKind(StrEnum):
    """The kind of a list of algorithms, as a message names it."""

    KEX = "key exchange"
    HOST_KEY = "host key"
    CIPHER = "cipher"
    MAC = "MAC"
    COMPRESSION = "compression"


_EXTENSIONS = (b"ext-info-", b"kex-strict-")
"""Prefixes of extensions that are written as key exchange algorithms (RFC 8308, OpenSSH)."""

_CONFIG_KEYS = {
    AlgorithmKind.KEX: ("kex_algorithms", "KexAlgorithms", get_kex_algs),
    AlgorithmKind.HOST_KEY: ("host_key_algorithms", "HostKeyAlgorithms", get_public_key_algs),
    AlgorithmKind.CIPHER: ("ciphers", "Ciphers", get_encryption_algs),
    AlgorithmKind.MAC: ("macs", "MACs", get_mac_algs),
}
"""The key of the config file, the keyword of ssh_config, and what asyncssh supports."""

_COOKIE_SIZE = 16
_LIST_COUNT = 8  # without the two lists of languages, which nothing uses


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A list of the peer that shares no algorithm with ours."""

    kind: AlgorithmKind
    theirs: tuple[str, ...]
    ours: tuple[str, ...]

    def describe(self, peer: str) -> str:
        """Return what a peer ("the server") offers."""
        return f"no common {self.kind} algorithm; {peer} offers {self.offer}"

    @property
    def offer(self) -> str:
        """The peer's list, without extensions that are written as algorithms."""
        return _joined(self.theirs)

    def hint(self) -> str:
        """Return how a client enables an algorithm of the server, and what it offers itself."""
        return f"{self._remedy()}; this side offers {_joined(self.ours)}"

    def _remedy(self) -> str:
        if self.kind is AlgorithmKind.COMPRESSION and "zlib@openssh.com" in self.theirs:
            return "set compression = true for this host, or Compression yes in ssh_config"
        key, keyword, supported = _CONFIG_KEYS.get(self.kind, ("", "", tuple))
        usable = (name.decode("ascii") for name in supported() if not name.startswith(b"gss-"))
        best = next((name for name in usable if name in self.theirs), None)
        if best is None:
            return "tunnelkeeper supports none of these; update the server"
        return (
            f'to enable it, set {key} = "+{best}" for this host, or {keyword} +{best} in '
            "ssh_config; an update of the server is better"
        )


class NoCommonAlgorithmError(asyncssh.KeyExchangeFailed):
    """Raised when a list of the peer shares no algorithm with ours."""

    def __init__(self, mismatch: Mismatch) -> None:
        super().__init__(f"no common {mismatch.kind} algorithm")  # this text goes to the peer
        self.mismatch = mismatch


def process_kexinit(transport: Any, pkttype: int, pktid: int, packet: SSHPacket) -> Any:
    """Handle a KEXINIT as asyncssh does, but report a list without a common algorithm first.

    Raises NoCommonAlgorithmError.
    """
    mismatch = find_mismatch(transport, packet.get_remaining_payload())
    if mismatch is not None:
        raise NoCommonAlgorithmError(mismatch)
    handle: Any = SSHConnection._packet_handlers[MSG_KEXINIT]  # noqa: SLF001
    return handle(transport, pkttype, pktid, packet)


def find_mismatch(transport: Any, payload: bytes) -> Mismatch | None:
    """Return the first list of a KEXINIT without a common algorithm.

    None also for a message that cannot be parsed. asyncssh's handler reports it.
    """
    packet = SSHPacket(payload)
    try:
        packet.get_bytes(_COOKIE_SIZE)
        theirs = [packet.get_namelist() for _ in range(_LIST_COUNT)]
    except PacketDecodeError:
        return None
    for kind, own, offered in _pairs(transport, theirs):
        if not set(own) & set(offered):
            return Mismatch(kind, _names(offered), _names(own))
    return None


def _pairs(
    transport: Any, theirs: list[Sequence[bytes]]
) -> Iterator[tuple[AlgorithmKind, Sequence[bytes], Sequence[bytes]]]:
    """Yield each kind with our list and the peer's, once for each direction of the data."""
    kex, host_keys, *by_direction = theirs
    own_host_keys = transport._server_host_key_algs or ()  # noqa: SLF001
    own_kex = expand_kex_algs(transport._kex_algs, (), bool(own_host_keys))  # noqa: SLF001
    yield AlgorithmKind.KEX, own_kex, kex
    yield AlgorithmKind.HOST_KEY, own_host_keys, host_keys
    for ciphers, macs, compressions in (by_direction[0::2], by_direction[1::2]):
        yield AlgorithmKind.CIPHER, transport._enc_algs, ciphers  # noqa: SLF001
        if _needs_mac(transport, ciphers):
            yield AlgorithmKind.MAC, transport._mac_algs, macs  # noqa: SLF001
        yield AlgorithmKind.COMPRESSION, transport._cmp_algs, compressions  # noqa: SLF001


def _needs_mac(transport: Any, offered: Sequence[bytes]) -> bool:
    own = transport._enc_algs  # noqa: SLF001
    preferred, other = (own, offered) if transport.is_client() else (offered, own)
    return encryption_needs_mac(next(name for name in preferred if name in other))


def _names(algorithms: Sequence[bytes]) -> tuple[str, ...]:
    listed = [name for name in algorithms if not name.startswith(_EXTENSIONS)]
    return tuple(name.decode("utf-8", "backslashreplace") for name in listed)


def _joined(names: Sequence[str]) -> str:
    return printable(",".join(names), LIST_LIMIT) or "none"
