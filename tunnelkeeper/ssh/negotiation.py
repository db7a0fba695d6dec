"""The negotiation of algorithms (RFC 4253 section 7.1): what the peer offers if nothing matches.

asyncssh 2.24.1 reports a mismatch of most lists as one long text, with our own list first. It does
not compare the host key algorithms, and the server then closes the connection without a reason. It
also takes a wrongly guessed packet of a key exchange for a right one.
"""

from __future__ import annotations

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
from msgspec import Struct

from tunnelkeeper.core.text import printable
from tunnelkeeper.ssh.auth.algorithms import NOTHING_KNOWN, signature_algorithm

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
_LIST_COUNT = 8
_LANGUAGE_COUNT = 2  # lists of languages, which nothing uses


class Mismatch(Struct, frozen=True):
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

    A guessed packet that follows is ignored if the guess is wrong. Raises NoCommonAlgorithmError.
    """
    offer = parse_kexinit(packet.get_remaining_payload())
    mismatch = None if offer is None else find_mismatch(transport, offer)
    if mismatch is not None:
        raise NoCommonAlgorithmError(mismatch)
    return _process_kexinit(transport, pkttype, pktid, packet, offer)


async def _process_kexinit(
    transport: Any, pkttype: int, pktid: int, packet: SSHPacket, offer: Offer | None
) -> None:
    handle: Any = SSHConnection._packet_handlers[MSG_KEXINIT]  # noqa: SLF001
    await handle(transport, pkttype, pktid, packet)
    # asyncssh processes no other packet meanwhile.
    transport._ignore_first_kex = offer is not None and is_wrong_guess(transport, offer)  # noqa: SLF001


class Offer(Struct, frozen=True):
    """A KEXINIT of the peer.

    lists: key exchanges, host keys, and ciphers, MACs and compressions for each direction.
    has_guess: whether a packet of the first key exchange in the list follows.
    """

    lists: tuple[Sequence[bytes], ...]
    has_guess: bool = False


def parse_kexinit(payload: bytes) -> Offer | None:
    """Parse a KEXINIT; None for one that cannot be parsed, which asyncssh's handler reports."""
    packet = SSHPacket(payload)
    try:
        packet.get_bytes(_COOKIE_SIZE)
        lists = tuple(packet.get_namelist() for _ in range(_LIST_COUNT))
        for _ in range(_LANGUAGE_COUNT):
            packet.get_namelist()
        return Offer(lists, packet.get_boolean())
    except PacketDecodeError:
        return None


def is_wrong_guess(transport: Any, offer: Offer) -> bool:
    """Return whether a guessed packet follows that must be ignored (RFC 4253 section 7).

    A guess is right if both sides prefer the same key exchange and the same host key algorithm.
    """
    own = _own_key_exchanges(transport), transport._server_host_key_algs or ()  # noqa: SLF001
    preferred = [names[0] if names else b"" for names in own]
    theirs = [names[0] if names else b"" for names in offer.lists[:2]]
    return offer.has_guess and preferred != theirs


def check_host_signature(signature: bytes, offered: Sequence[bytes]) -> None:
    """Check that a server signs with an algorithm that was offered (RFC 8332 section 3.2).

    Raises:
        asyncssh.KeyExchangeFailed: It signs with another one, such as SHA-1.
    """
    try:
        used = SSHPacket(signature).get_string().decode("ascii", "backslashreplace")
    except PacketDecodeError:
        used = "nothing"
    names = (name.decode("ascii") for name in offered)
    if used not in {signature_algorithm(name, NOTHING_KNOWN) for name in names}:
        raise asyncssh.KeyExchangeFailed(
            f"the server signed with {printable(used, 60)}, which was not offered"
        )


def find_mismatch(transport: Any, offer: Offer) -> Mismatch | None:
    """Return the first list of a KEXINIT without a common algorithm."""
    for kind, own, offered in _pairs(transport, offer.lists):
        if not set(own) & set(offered):
            return Mismatch(kind, _names(offered), _names(own))
    return None


def _own_key_exchanges(transport: Any) -> Sequence[bytes]:
    has_host_keys = bool(transport._server_host_key_algs)  # noqa: SLF001
    return expand_kex_algs(transport._kex_algs, (), has_host_keys)  # noqa: SLF001


def _pairs(
    transport: Any, theirs: tuple[Sequence[bytes], ...]
) -> Iterator[tuple[AlgorithmKind, Sequence[bytes], Sequence[bytes]]]:
    """Yield each kind with our list and the peer's, once for each direction of the data."""
    kex, host_keys, *by_direction = theirs
    own_host_keys = transport._server_host_key_algs or ()  # noqa: SLF001
    yield AlgorithmKind.KEX, _own_key_exchanges(transport), kex
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
