"""Translation of exceptions of asyncssh and the system into failures, by step.

The steps are those of `ssh -v`. Each failure names the step at which it happened.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import asyncssh
from asyncssh.constants import (
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
from tunnelkeeper.net import fd_limits
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
        case socket.gaierror() if fd_limits.are_exhausted():
            return local_resources_failure("no descriptor to ask a name server through", hop)
        case socket.gaierror():
            return Failure(
                Cause.DNS,
                f"cannot resolve the host name: {printable(error.strerror or str(error))}",
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
                f"the server ended the login: {_text(error)}",
                hop,
                "fewer keys may help: set identities_only = true and identity_files",
            )
    return _from_protocol(error, hop, step)


def _from_os(error: OSError, hop: str, step: Step) -> Failure:
    message = printable(error.strerror or str(error) or type(error).__name__)
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
            return ConnectError(_OPEN_FAILURE_REASONS.get(code, Reason.FAILED), text)
        case _:
            return ConnectError(Reason.FAILED, printable(str(error)))


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
        case PeerDeadError():
            return Failure(Cause.PEER_DEAD, _text(error), hop)
        case NoCommonAlgorithmError(mismatch=mismatch):
            message = mismatch.describe("the server")
            return Failure(Cause.KEY_EXCHANGE, message, hop, mismatch.hint())
        case asyncssh.KeyExchangeFailed():
            return Failure(Cause.KEY_EXCHANGE, _text(error), hop, _ALGORITHM_HINT)
        case asyncssh.PermissionDenied() | asyncssh.IllegalUserName():
            return Failure(Cause.AUTH, _text(error), hop)
        case None:
            return Failure(Cause.LOST, "the server closed the connection", hop)
        case asyncssh.ConnectionLost():
            return _connection_lost(hop, step)
        case asyncssh.ProtocolError() | asyncssh.ProtocolNotSupported() | asyncssh.MACError():
            return Failure(Cause.PROTOCOL, _text(error), hop, "is it really an SSH server?")
        case asyncssh.DisconnectError():
            return Failure(Cause.LOST, f"the server disconnected: {_text(error)}", hop)
    return Failure(Cause.PROTOCOL, printable(f"{type(error).__name__}: {error}"), hop)


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
        error, asyncssh.ConnectionLost | asyncssh.PermissionDenied | asyncssh.MACError
    )


def _text(error: BaseException) -> str:
    return printable(str(error) or type(error).__name__)
