"""Replies of a server to login requests (RFC 4252), where asyncssh 2.24.1 is stricter than ssh.

It also forgets the methods that a server names. The handlers here record or rewrite a reply and
leave the rest to asyncssh's handlers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncssh.auth import MSG_USERAUTH_PK_OK, Auth, _ClientPublicKeyAuth
from asyncssh.connection import SSHClientConnection
from asyncssh.constants import MSG_USERAUTH_FAILURE
from asyncssh.packet import SSHPacket, String

from tunnelkeeper.core.algorithms import CERTIFICATE_SUFFIX
from tunnelkeeper.ssh.auth.algorithms import RSA_SHA2

if TYPE_CHECKING:
    from tunnelkeeper.ssh.auth.login_failure import ServerReplies

_RSA_NAMES = frozenset(name.encode() for name in ("ssh-rsa", *RSA_SHA2))
_RSA_CERTIFICATE_NAMES = frozenset(name + CERTIFICATE_SUFFIX.encode() for name in _RSA_NAMES)


def process_failure(transport: Any, kind: int, number: int, packet: SSHPacket) -> Any:
    """Record which methods the server still accepts, and whether it has accepted one."""
    payload = packet.get_remaining_payload()
    reply = SSHPacket(payload)
    names = reply.get_namelist()
    replies: ServerReplies = transport.login_replies
    replies.methods = tuple(name.decode("ascii", "replace") for name in names)
    replies.is_partial = replies.is_partial or reply.get_boolean()
    handle: Any = SSHClientConnection._packet_handlers[MSG_USERAUTH_FAILURE]  # noqa: SLF001
    return handle(transport, kind, number, SSHPacket(payload))


def tolerate_key_type_names(method: Auth | None) -> None:
    """Let a login by key accept a reply that names an RSA key by another of its names.

    Some servers name the key type, `ssh-rsa`, in place of the algorithm that was requested.
    """
    if isinstance(method, _ClientPublicKeyAuth):
        vars(method)["_packet_handlers"] = {MSG_USERAUTH_PK_OK: _process_pk_ok}


def _process_pk_ok(method: Any, kind: int, number: int, packet: SSHPacket) -> Any:
    algorithm, rest = packet.get_string(), packet.get_remaining_payload()
    requested: bytes = method._keypair.algorithm  # noqa: SLF001
    if any(names >= {algorithm, requested} for names in (_RSA_NAMES, _RSA_CERTIFICATE_NAMES)):
        algorithm = requested
    handle: Any = _ClientPublicKeyAuth._packet_handlers[MSG_USERAUTH_PK_OK]  # noqa: SLF001
    return handle(method, kind, number, SSHPacket(String(algorithm) + rest))
