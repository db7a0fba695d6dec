"""The requests about host keys on a live connection (section 2.5 of OpenSSH's PROTOCOL).

The server lists its host keys (hostkeys-00@openssh.com), and signs with those that the client asks
about (hostkeys-prove-00@openssh.com).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncssh.constants import MSG_REQUEST_SUCCESS
from asyncssh.packet import PacketDecodeError, SSHPacket, String

from tunnelkeeper.ssh.negotiation import check_host_signature

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import asyncssh

PROVE_REQUEST = b"hostkeys-prove-00@openssh.com"

MAX_KEYS = 32
"""Host keys of one server that are looked at. A server has one or two of each type."""


class HostKeysMixin:
    """The part of a client's connection that receives the list of host keys.

    on_host_keys: called with the first list, as blobs, in a task of the connection.
    """

    on_host_keys: Callable[[list[bytes]], Awaitable[None]] | None = None

    def _process_hostkeys_00_at_openssh_dot_com_global_request(self, packet: SSHPacket) -> None:
        connection: Any = self
        handler, self.on_host_keys = self.on_host_keys, None
        blobs: list[bytes] = []
        try:
            while packet and len(blobs) < MAX_KEYS:
                blobs.append(packet.get_string())
        except PacketDecodeError:
            blobs.clear()
        connection._report_global_response(True)  # noqa: SLF001  asyncssh's queue of requests
        if handler is not None and blobs:
            connection.start_task(handler(blobs))

    async def prove_host_keys(self, blobs: Sequence[bytes]) -> list[bytes]:
        """Return the server's signature with each key over the proof that the key is its own.

        Return nothing if it gives no proof. Raises PacketDecodeError and asyncssh.Error.
        """
        connection: Any = self
        kind, packet = await connection._make_global_request(  # noqa: SLF001
            PROVE_REQUEST, *map(String, blobs)
        )
        if kind != MSG_REQUEST_SUCCESS:
            return []
        signatures = [packet.get_string() for _ in blobs]
        packet.check_end()
        return signatures

    def is_proof(self, key: asyncssh.SSHKey, signature: bytes) -> bool:
        """Return whether a signature proves possession of a key on this connection."""
        connection: Any = self
        session: bytes = connection._session_id  # noqa: SLF001
        signed = String(PROVE_REQUEST) + String(session) + String(key.public_data)
        algorithms: Sequence[bytes] = connection._server_host_key_algs or ()  # noqa: SLF001
        check_host_signature(signature, algorithms)
        return key.verify(signed, signature)
