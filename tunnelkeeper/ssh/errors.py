"""Translation of exceptions of asyncssh and the system into failures, by step.

The steps are those of `ssh -v`. Each failure names the step at which it happened.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import asyncssh
from asyncssh.constants import (
    DISC_AUTH_CANCELLED_BY_USER,
    DISC_BY_APPLICATION,
    DISC_COMPRESSION_ERROR,
    DISC_CONNECTION_LOST,
    DISC_HOST_KEY_NOT_VERIFIABLE,
    DISC_HOST_NOT_ALLOWED_TO_CONNECT,
    DISC_ILLEGAL_USER_NAME,
    DISC_KEY_EXCHANGE_FAILED,
    DISC_MAC_ERROR,
    DISC_NO_MORE_AUTH_METHODS_AVAILABLE,
    DISC_PROTOCOL_ERROR,
    DISC_PROTOCOL_VERSION_NOT_SUPPORTED,
    DISC_SERVICE_NOT_AVAILABLE,
    DISC_TOO_MANY_CONNECTIONS,
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    OPEN_CONNECT_FAILED,
    OPEN_RESOURCE_SHORTAGE,
    OPEN_UNKNOWN_CHANNEL_TYPE,
)

from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.failures import (
    EXHAUSTION_ERRNOS,
    Cause,
    Failure,
    FailureError,
    local_resources_failure,
)
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.ssh.memory_budget import OverBudgetError
from tunnelkeeper.ssh.negotiation import NoCommonAlgorithmError

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import Step

OPEN_FAILURE_NAMES = {
    OPEN_ADMINISTRATIVELY_PROHIBITED: "administratively prohibited",
    OPEN_CONNECT_FAILED: "connect failed",
    OPEN_UNKNOWN_CHANNEL_TYPE: "unknown channel type",
    OPEN_RESOURCE_SHORTAGE: "resource shortage",
}
"""Reason codes of SSH_MSG_CHANNEL_OPEN_FAILURE (RFC 4254 section 5.1), as ssh(1) prints them."""

_OPEN_FAILURE_REASONS = {
    OPEN_ADMINISTRATIVELY_PROHIBITED: Reason.NOT_PERMITTED,
    OPEN_RESOURCE_SHORTAGE: Reason.RESOURCE_SHORTAGE,
}
"""The codes, besides "connect failed", that mean more than Reason.FAILED."""

_DISCONNECT_NAMES = {
    DISC_HOST_NOT_ALLOWED_TO_CONNECT: "this host is not allowed to connect",
    DISC_PROTOCOL_ERROR: "protocol error",
    DISC_KEY_EXCHANGE_FAILED: "the key exchange failed",
    DISC_MAC_ERROR: "a message authentication code is wrong",
    DISC_COMPRESSION_ERROR: "compression error",
    DISC_SERVICE_NOT_AVAILABLE: "the service is not available",
    DISC_PROTOCOL_VERSION_NOT_SUPPORTED: "the protocol version is not supported",
    DISC_HOST_KEY_NOT_VERIFIABLE: "the host key cannot be verified",
    DISC_CONNECTION_LOST: "connection lost",
    DISC_BY_APPLICATION: "closed by the application",
    DISC_TOO_MANY_CONNECTIONS: "too many connections",
    DISC_AUTH_CANCELLED_BY_USER: "the login was cancelled",
    DISC_NO_MORE_AUTH_METHODS_AVAILABLE: "no more authentication methods",
    DISC_ILLEGAL_USER_NAME: "illegal user name",
}
"""Reason codes of SSH_MSG_DISCONNECT (RFC 4253 section 11.1)."""

_NOT_SSH_HINT = "is it really an SSH server?"
_DENIALS = frozenset({OPEN_ADMINISTRATIVELY_PROHIBITED, OPEN_UNKNOWN_CHANNEL_TYPE})
"""The codes of a server that does not even try. Dropbear without forwarding knows no such type."""

_MEMORY_HINT = "the server sends data that is not read here, or does not read what it is sent"
_UNREACHABLE_HINT = "check the network, the route and any firewall on the way"
_HUNG_UP_HINT = "is it an SSH server? Is it overloaded (MaxStartups) or refusing this address?"
_ALGORITHM_HINT = (
    "no algorithm in common: compare ciphers, macs, kex_algorithms and host_key_algorithms "
    "with what the server offers"
)


class PeerDeadError(asyncssh.ConnectionLost):
    """Raised when the peer answers none of the keepalives."""


def to_failure(error: BaseException | None, hop: str, step: Step) -> Failure:
    """Return the failure of an exception at a step. None: closed without an error."""
    match error:
        case FailureError(failure=failure):
            return failure
        case socket.gaierror():
            return Failure(
                Cause.DNS,
                f"cannot resolve the host name: {os_error_text(error)}",
                hop,
                "check `hostname` and the DNS of this machine",
            )
        case OSError():
            return _from_os(error, hop, step)
        case asyncssh.ChannelOpenError():
            return _from_channel(error, hop)
        case asyncssh.Error() if step == "login" and _is_login_ended_by_server(error):
            return Failure(
                Cause.AUTH,
                f"the server ended the login: {describe(error)}",
                hop,
                "fewer keys may help: set identities_only = true and identity_files",
            )
    return _from_protocol(error, hop, step)


def _from_os(error: OSError, hop: str, step: Step) -> Failure:
    message = os_error_text(error)
    if error.errno in EXHAUSTION_ERRNOS:
        return local_resources_failure(message, hop)
    match error:
        case ConnectionRefusedError():
            hint = "is the SSH server running, and is the port right?"
            return Failure(Cause.REFUSED, "connection refused", hop, hint)
        case TimeoutError():
            return Failure(Cause.TIMEOUT, message, hop, _UNREACHABLE_HINT)
        case ConnectionError():
            hint = _HUNG_UP_HINT if step == "key_exchange" else ""
            return Failure(Cause.LOST, f"connection lost: {message}", hop, hint)
    return Failure(Cause.UNREACHABLE, message, hop, _UNREACHABLE_HINT)


def _from_channel(error: asyncssh.ChannelOpenError, hop: str) -> Failure:
    """Return why a jump host did not connect to the next hop."""
    message = open_failure_text(error)
    if error.code == OPEN_CONNECT_FAILED:
        is_refused = reason_from_text(message) is Reason.REFUSED
        cause = Cause.REFUSED if is_refused else Cause.UNREACHABLE
        return Failure(cause, f"the jump host could not connect: {message}", hop, _UNREACHABLE_HINT)
    if error.code == OPEN_ADMINISTRATIVELY_PROHIBITED:
        hint = "see AllowTcpForwarding and PermitOpen in the jump host's sshd_config"
        return Failure(Cause.JUMP, f"the jump host refused to forward: {message}", hop, hint)
    return Failure(Cause.JUMP, f"the jump host opened no channel: {message}", hop)


def to_connect_error(error: Exception) -> ConnectError:
    """Translate an exception that asyncssh raises instead of opening a channel."""
    match error:
        case asyncssh.ChannelOpenError(code=code):
            text = open_failure_text(error)
            if code == OPEN_CONNECT_FAILED:
                return ConnectError(reason_from_text(text), text)
            reason = _OPEN_FAILURE_REASONS.get(code, Reason.FAILED)
            return ConnectError(reason, text, is_denied=code in _DENIALS)
        case _:
            return ConnectError(Reason.FAILED, describe(error))


def reason_from_text(text: str) -> Reason:
    """Return the reason that a server's text gives for a connect that failed.

    RFC 4254 has one code for all of them, "connect failed"; the text of sshd is strerror(3).
    """
    lowered = text.lower()
    if "refused" in lowered:
        return Reason.REFUSED
    if "network is unreachable" in lowered:
        return Reason.NETWORK_UNREACHABLE
    if "timed out" in lowered:
        return Reason.TIMED_OUT
    if any(sign in lowered for sign in ("no route", "unknown host", "not known", "resolution")):
        return Reason.HOST_UNREACHABLE
    return Reason.FAILED


def open_failure_text(error: asyncssh.ChannelOpenError) -> str:
    """Return the meaning of a channel's failure code, followed by the server's text."""
    kind = OPEN_FAILURE_NAMES.get(error.code, f"code {error.code}")
    return f"{kind}: {printable(error.reason)}" if error.reason else kind


def _from_protocol(error: BaseException | None, hop: str, step: Step) -> Failure:
    match error:
        case None:
            return Failure(Cause.LOST, "the server closed the connection", hop)
        case PeerDeadError():
            return Failure(Cause.PEER_DEAD, describe(error), hop)
        case OverBudgetError():
            message = f"disconnected to free memory: {describe(error)}"
            return Failure(Cause.LOCAL_RESOURCES, message, hop, _MEMORY_HINT)
        case asyncssh.ConnectionLost():
            return _connection_lost(hop, step)
        case asyncssh.DisconnectError():
            return _from_disconnect(error, hop)
        case ValueError():
            return Failure(Cause.PROTOCOL, f"invalid data: {describe(error)}", hop, _NOT_SSH_HINT)
    return Failure(Cause.PROTOCOL, f"internal error: {describe(error)}", hop, "please report it")


def _from_disconnect(error: asyncssh.DisconnectError, hop: str) -> Failure:
    """Return why one of both sides disconnected."""
    text = describe(error)
    match error:
        case NoCommonAlgorithmError(mismatch=mismatch):
            message = mismatch.describe("the server")
            return Failure(Cause.KEY_EXCHANGE, message, hop, mismatch.hint())
        case asyncssh.KeyExchangeFailed():
            return Failure(Cause.KEY_EXCHANGE, text, hop, _ALGORITHM_HINT)
        case asyncssh.PermissionDenied() | asyncssh.IllegalUserName():
            return Failure(Cause.AUTH, text, hop)
        case asyncssh.HostKeyNotVerifiable():
            return Failure(Cause.HOST_KEY_CHANGED, text, hop)
        case asyncssh.ProtocolError() | asyncssh.ProtocolNotSupported():
            return Failure(Cause.PROTOCOL, text, hop, _NOT_SSH_HINT)
        case asyncssh.MACError() | asyncssh.CompressionError():
            return Failure(Cause.PROTOCOL, text, hop, _NOT_SSH_HINT)
    return Failure(Cause.LOST, f"the server disconnected: {text}", hop)


def _connection_lost(hop: str, step: Step) -> Failure:
    if step == "key_exchange":
        message = "the connection was closed before the key exchange was done"
        return Failure(Cause.LOST, message, hop, _HUNG_UP_HINT)
    if step == "login":
        message = "the connection was closed during the login"
        hint = "the server's log has the reason, such as LoginGraceTime"
        return Failure(Cause.LOST, message, hop, hint)
    return Failure(Cause.LOST, "connection lost", hop)


def _is_login_ended_by_server(error: asyncssh.Error) -> bool:
    # sshd reports too many attempts as a protocol error (code 2), others as code 14.
    return isinstance(error, asyncssh.DisconnectError) and not isinstance(
        error,
        asyncssh.ConnectionLost
        | asyncssh.PermissionDenied
        | asyncssh.MACError
        | asyncssh.CompressionError,
    )


def describe(error: BaseException) -> str:
    """Return the text of an exception, printable. It names no class of a library."""
    match error:
        case OSError():
            return os_error_text(error)
        case asyncssh.ChannelOpenError():
            return open_failure_text(error)
        case asyncssh.DisconnectError(code=code) if not str(error):
            return _DISCONNECT_NAMES.get(code, f"code {code}, without a reason")
    if type(error).__module__ == "builtins" and not isinstance(error, ValueError):
        return printable(repr(error))  # of no use without its class, such as KeyError
    return printable(str(error)) or "no reason given"
