from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from asyncssh.misc import construct_disc_error
from asyncssh.packet import PacketDecodeError
from cryptography.exceptions import InvalidSignature, InvalidTag

from tunnelkeeper.core.connect_error import Reason
from tunnelkeeper.core.failures import Cause, Failure, FailureError
from tunnelkeeper.ssh.errors import (
    PeerDeadError,
    open_failure_text,
    reason_from_text,
    to_connect_error,
    to_failure,
)
from tunnelkeeper.ssh.memory_budget import OverBudgetError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.core.snapshot import Step

HOP = "me@relay:22"

# The exception of asyncssh or the system, its step, its cause, and a part of the message.
TABLE: list[tuple[BaseException | None, Step, Cause, str]] = [
    (
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        "resolve",
        Cause.DNS,
        "cannot resolve the host name: Name or service not known",
    ),
    (socket.gaierror("no answer"), "resolve", Cause.DNS, "no answer"),
    (
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        "connect",
        Cause.REFUSED,
        "connection refused",
    ),
    (TimeoutError(errno.ETIMEDOUT, "timed out"), "connect", Cause.TIMEOUT, "timed out"),
    (TimeoutError(), "connect", Cause.TIMEOUT, "Connection timed out"),
    (
        ConnectionResetError(errno.ECONNRESET, "reset by peer"),
        "key_exchange",
        Cause.LOST,
        "connection lost: reset by peer",
    ),
    (BrokenPipeError(errno.EPIPE, "Broken pipe"), "login", Cause.LOST, "Broken pipe"),
    (
        OSError(errno.EHOSTUNREACH, "No route to host"),
        "connect",
        Cause.UNREACHABLE,
        "No route to host",
    ),
    (
        OSError(errno.ENETUNREACH, "Network is unreachable"),
        "connect",
        Cause.UNREACHABLE,
        "Network is unreachable",
    ),
    (OSError(errno.EMFILE, "Too many open files"), "connect", Cause.LOCAL_RESOURCES, "open files"),
    (OSError(errno.ENFILE, "Too many open files"), "connect", Cause.LOCAL_RESOURCES, "open files"),
    (
        asyncssh.ChannelOpenError(2, "Connection refused"),
        "connect",
        Cause.REFUSED,
        "the jump host could not connect: connect failed: Connection refused",
    ),
    (
        asyncssh.ChannelOpenError(2, "No route to host"),
        "connect",
        Cause.UNREACHABLE,
        "the jump host could not connect: connect failed: No route to host",
    ),
    (
        asyncssh.ChannelOpenError(1, "open failed"),
        "connect",
        Cause.JUMP,
        "the jump host refused to forward: administratively prohibited: open failed",
    ),
    (
        asyncssh.ChannelOpenError(3, "no such type"),
        "connect",
        Cause.JUMP,
        "the jump host opened no channel: unknown channel type: no such type",
    ),
    (
        asyncssh.ChannelOpenError(4, "no memory"),
        "connect",
        Cause.JUMP,
        "the jump host opened no channel: resource shortage: no memory",
    ),
    (PeerDeadError("no answer to 3 keepalives"), "forwards", Cause.PEER_DEAD, "no answer to 3"),
    (
        asyncssh.KeyExchangeFailed("No matching cipher"),
        "key_exchange",
        Cause.KEY_EXCHANGE,
        "No matching cipher",
    ),
    (asyncssh.PermissionDenied("denied"), "login", Cause.AUTH, "denied"),
    (asyncssh.IllegalUserName("user\n"), "login", Cause.AUTH, "user\\n"),
    (
        asyncssh.ProtocolError("Too many authentication failures"),
        "login",
        Cause.AUTH,
        "the server ended the login: Too many authentication failures",
    ),
    (
        asyncssh.DisconnectError(14, "No more methods"),
        "login",
        Cause.AUTH,
        "the server ended the login: No more methods",
    ),
    (None, "forwards", Cause.LOST, "the server closed the connection"),
    (
        asyncssh.ConnectionLost("Connection lost"),
        "key_exchange",
        Cause.LOST,
        "the connection was closed before the key exchange was done",
    ),
    (asyncssh.ConnectionLost("Connection lost"), "login", Cause.LOST, "during the login"),
    (asyncssh.ConnectionLost("Connection lost"), "forwards", Cause.LOST, "connection lost"),
    (asyncssh.ProtocolError("Banner too long"), "key_exchange", Cause.PROTOCOL, "Banner too long"),
    (asyncssh.ProtocolNotSupported("SSH 1"), "key_exchange", Cause.PROTOCOL, "SSH 1"),
    (asyncssh.MACError("MAC mismatch"), "forwards", Cause.PROTOCOL, "MAC mismatch"),
    (asyncssh.MACError("MAC mismatch"), "login", Cause.PROTOCOL, "MAC mismatch"),
    (
        asyncssh.DisconnectError(11, "bye"),
        "forwards",
        Cause.LOST,
        "the server disconnected: bye",
    ),
    (ValueError("odd"), "connect", Cause.PROTOCOL, "invalid data: odd"),
    (PacketDecodeError("Incomplete packet"), "login", Cause.PROTOCOL, "data: Incomplete packet"),
    (KeyError("odd"), "forwards", Cause.PROTOCOL, "internal error: KeyError('odd')"),
    (
        asyncssh.CompressionError("Decompression failed"),
        "login",
        Cause.PROTOCOL,
        "Decompression failed",
    ),
    (
        asyncssh.HostKeyNotVerifiable("not trusted"),
        "forwards",
        Cause.HOST_KEY_CHANGED,
        "not trusted",
    ),
]


@pytest.mark.parametrize(("error", "step", "cause", "text"), TABLE)
def test_each_exception_has_its_cause(
    error: BaseException | None, step: Step, cause: Cause, text: str
) -> None:
    failure = to_failure(error, HOP, step)

    assert failure.cause is cause
    assert failure.hop == HOP
    assert text in failure.message


def test_a_connection_that_was_closed_to_free_memory_names_the_amounts() -> None:
    reason = "it held 90.0 MB of memory, the most of all; the limit of the process is 100.0 MB"

    failure = to_failure(OverBudgetError(reason), "me@db:22", "forwards")

    assert failure.cause is Cause.LOCAL_RESOURCES
    assert failure.message == f"disconnected to free memory: {reason}"
    assert failure.hop == "me@db:22"


def test_a_failure_error_keeps_its_failure() -> None:
    known = Failure(Cause.AUTH, "login refused", "me@jump:22")

    assert to_failure(FailureError(known), HOP, "login") is known
    assert str(FailureError(known)) == "auth: me@jump:22: login refused"


def test_the_servers_text_is_escaped_and_truncated() -> None:
    failure = to_failure(asyncssh.DisconnectError(11, "\x1b[2J" + "x" * 1000), HOP, "forwards")

    assert "\x1b" not in failure.message
    assert len(failure.message) < 400


def test_an_open_failure_without_text_is_explained() -> None:
    assert open_failure_text(asyncssh.ChannelOpenError(2, "")) == "connect failed"
    assert open_failure_text(asyncssh.ChannelOpenError(99, "odd\n")) == "code 99: odd\\n"


STEPS: tuple[Step, ...] = ("resolve", "connect", "key_exchange", "login", "forwards")


def exceptions_of_libraries() -> Iterator[Exception]:
    """Yield an exception of every class that a connection can end with, without and with text."""
    kinds: list[Any] = [OSError, asyncssh.ChannelListenError, InvalidTag, InvalidSignature]
    for root in (OSError, asyncssh.Error, ValueError):
        kinds += _subclasses(root)
    for kind in kinds:
        empty = ((None, None),) if issubclass(kind, OSError) else ()
        for arguments in ((), ("",), ("odd",), (5, ""), (5, "odd"), *empty):
            try:
                yield kind(*arguments)
            except TypeError:  # another number of arguments
                continue


def _subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    for each in kind.__subclasses__():
        if each.__module__.partition(".")[0] in {"asyncssh", "builtins", "socket", "ssl"}:
            yield each
        yield from _subclasses(each)


@pytest.mark.parametrize("step", STEPS)
def test_no_message_is_the_name_of_a_class(step: Step) -> None:
    for error in exceptions_of_libraries():
        failure = to_failure(error, HOP, step)
        texts = (failure.message, failure.hint, str(to_connect_error(error)))
        for text in texts:
            assert type(error).__name__ not in text
            assert "None" not in text, repr(error)
        assert failure.message.strip(" :"), repr(error)
        assert not failure.message.endswith(": "), repr(error)


@pytest.mark.parametrize("code", range(20))
def test_a_disconnect_without_a_reason_is_described_by_its_code(code: int) -> None:
    for error in (asyncssh.DisconnectError(code, ""), construct_disc_error(code, "", "")):
        failure = to_failure(error, HOP, "forwards")

        assert len(failure.message.rpartition(": ")[2]) > 5
        assert "Error" not in failure.message


@pytest.mark.parametrize(
    ("error", "step", "hint"),
    [
        (ConnectionRefusedError(), "connect", "is the port right"),
        (OSError(errno.EMFILE, "Too many open files"), "connect", "ulimit"),
        (asyncssh.ChannelOpenError(1, "no"), "connect", "AllowTcpForwarding"),
        (asyncssh.KeyExchangeFailed("no"), "key_exchange", "compare ciphers"),
        (asyncssh.ConnectionLost("no"), "key_exchange", "MaxStartups"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "key_exchange", "MaxStartups"),
        (asyncssh.ProtocolError("no"), "login", "identities_only"),
    ],
)
def test_the_hint_says_what_to_do(error: BaseException, step: Step, hint: str) -> None:
    assert hint in to_failure(error, HOP, step).hint


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        (1, "open failed", Reason.NOT_PERMITTED),
        (1, "Connection refused", Reason.NOT_PERMITTED),
        (2, "Connection refused", Reason.REFUSED),
        (2, "open failed", Reason.FAILED),
        (3, "open failed", Reason.FAILED),
        (3, "Connection refused", Reason.FAILED),
        (4, "open failed", Reason.RESOURCE_SHORTAGE),
        (99, "open failed", Reason.FAILED),
    ],
)
def test_the_code_of_an_open_failure_gives_the_reason(code: int, text: str, reason: Reason) -> None:
    assert to_connect_error(asyncssh.ChannelOpenError(code, text)).reason is reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Connection refused", Reason.REFUSED),
        ("Network is unreachable", Reason.NETWORK_UNREACHABLE),
        ("Connection timed out", Reason.TIMED_OUT),
        ("No route to host", Reason.HOST_UNREACHABLE),
        ("unknown host (Name or service not known)", Reason.HOST_UNREACHABLE),
        ("Temporary failure in name resolution", Reason.HOST_UNREACHABLE),
        ("open failed", Reason.FAILED),
        ("", Reason.FAILED),
    ],
)
def test_the_text_of_a_server_gives_the_reason(text: str, reason: Reason) -> None:
    assert reason_from_text(text) is reason


@pytest.mark.parametrize(("code", "is_hinted"), [(1, True), (3, False), (4, False), (99, False)])
def test_only_a_prohibited_channel_hints_at_the_forwarding_rules(
    code: int, is_hinted: bool
) -> None:
    failure = to_failure(asyncssh.ChannelOpenError(code, "x"), "hop", "connect")

    assert ("AllowTcpForwarding" in failure.hint) is is_hinted
