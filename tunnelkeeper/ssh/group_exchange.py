"""Diffie-Hellman group exchange of a client (RFC 4419): groups of 2048 to 8192 bits, as in ssh.

asyncssh asks for at least 1024 bits and accepts any group. This overrides private methods of
asyncssh 2.24.1. It does not check that the modulus is a safe prime; ssh does not either.
"""

from __future__ import annotations

from typing import Any

import asyncssh
from asyncssh.kex_dh import MSG_KEX_DH_GEX_GROUP, _KexDHGex
from asyncssh.packet import SSHPacket, UInt32

from tunnelkeeper.core.algorithms import MAX_GROUP_BITS, MIN_GROUP_BITS, PREFERRED_GROUP_BITS


class GroupExchange(_KexDHGex):
    """A group exchange with limits on the size of the group."""

    def _send_request(self) -> None:
        sizes = (MIN_GROUP_BITS, PREFERRED_GROUP_BITS, MAX_GROUP_BITS)
        self._gex_data = b"".join(map(UInt32, sizes))
        self.send_packet(self._request_type, self._gex_data)

    def _process_limited_group(self, kind: int, number: int, packet: SSHPacket) -> None:
        ahead = SSHPacket(packet.get_remaining_payload())
        check_group(ahead.get_mpint(), ahead.get_mpint())
        try:
            self._process_group(kind, number, packet)
        except ValueError as error:
            raise asyncssh.KeyExchangeFailed("the server's group is unusable") from error

    _packet_handlers = {  # noqa: RUF012  asyncssh's table, by number of the message
        **_KexDHGex._packet_handlers,  # noqa: SLF001
        MSG_KEX_DH_GEX_GROUP: _process_limited_group,
    }


def check_group(modulus: int, generator: int) -> None:
    """Check the group that a server chose.

    Raises:
        asyncssh.KeyExchangeFailed: It is too small, too large or no group.
    """
    bits = modulus.bit_length() if modulus > 0 else 0
    if not MIN_GROUP_BITS <= bits <= MAX_GROUP_BITS:
        raise asyncssh.KeyExchangeFailed(
            f"the server chose a Diffie-Hellman group of {bits} bits, and {MIN_GROUP_BITS} to "
            f"{MAX_GROUP_BITS} are accepted"
        )
    if modulus % 2 == 0 or not 1 < generator < modulus - 1:
        raise asyncssh.KeyExchangeFailed("the server chose an invalid Diffie-Hellman group")


def limited(kex: Any) -> Any:
    """Return a client's key exchange, with the limits if it is a group exchange."""
    if not isinstance(kex, _KexDHGex) or isinstance(kex, GroupExchange):
        return kex
    return GroupExchange(kex.algorithm, kex._conn, kex._hash_alg)  # noqa: SLF001
