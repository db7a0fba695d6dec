"""Every message of a server that carries text or a name: no encoding ends the connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from asyncssh.constants import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_CHANNEL_REQUEST,
    MSG_DEBUG,
    MSG_GLOBAL_REQUEST,
    MSG_IGNORE,
    MSG_REQUEST_FAILURE,
    MSG_REQUEST_SUCCESS,
    MSG_USERAUTH_FAILURE,
)
from asyncssh.packet import Boolean, NameList, SSHPacket, String, UInt32
from asyncssh.saslprep import saslprep
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.ssh.attempts import failure_of
from tests.ssh.established import Established
from tests.ssh.server import Server, connected, serve
from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.core.failures import Cause
from tunnelkeeper.ssh.peer_text import (
    USER_NAME_LIMIT,
    user_name,
    with_ascii_name,
    with_readable_open,
    with_readable_user,
)
from tunnelkeeper.ssh.remote_command import CommandEndpoint, CommandKind, RemoteCommand

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tunnelkeeper.ssh.connection import Connection

LATIN1 = "Zürich".encode("latin-1")
CHANNEL = 4000
SIZES = UInt32(CHANNEL) + UInt32(1 << 20) + UInt32(32768)

CHANNEL_OPENS = {
    "an unknown type": (LATIN1, b""),
    "forwarded-tcpip to an unknown host": (
        b"forwarded-tcpip",
        String(LATIN1) + UInt32(22) + String(LATIN1) + UInt32(1),
    ),
    "forwarded-streamlocal to an unknown path": (
        b"forwarded-streamlocal@openssh.com",
        String(LATIN1) + String(LATIN1),
    ),
    "x11": (b"x11", String(LATIN1) + UInt32(1)),
    "direct-tcpip": (
        b"direct-tcpip",
        String(LATIN1) + UInt32(22) + String(LATIN1) + UInt32(1),
    ),
    "direct-streamlocal": (
        b"direct-streamlocal@openssh.com",
        String(LATIN1) + String(LATIN1) + UInt32(0),
    ),
}
"""Channels that a client refuses, by what is in them: the type and its fields."""


@pytest.fixture
async def connection(server: Server) -> AsyncIterator[Connection]:
    async with connected(server.host()) as connection:
        yield connection
        assert await connection.transport.send_keepalive()  # the connection has survived


def server_side(server: Server) -> Any:
    [transport] = server.connections
    return transport


async def open_by_server(
    server: Server, monkeypatch: pytest.MonkeyPatch, kind: bytes, fields: bytes
) -> str:
    """Open a channel to the client with raw fields. Return the reason of the refusal."""
    failures: list[str] = []

    def on_failure(_self: object, _pkttype: int, _pktid: int, packet: SSHPacket) -> None:
        assert packet.get_uint32() == CHANNEL
        packet.get_uint32()
        failures.append(packet.get_string().decode())

    transport = server_side(server)
    handlers = {**transport._packet_handlers, MSG_CHANNEL_OPEN_FAILURE: on_failure}
    monkeypatch.setattr(transport, "_packet_handlers", handlers, raising=False)
    transport.send_packet(MSG_CHANNEL_OPEN, String(kind) + SIZES, fields)
    return (await until(lambda: failures))[0]


@pytest.mark.parametrize("case", CHANNEL_OPENS)
async def test_a_channel_with_names_in_latin1_is_refused(
    server: Server, connection: Connection, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    assert await open_by_server(server, monkeypatch, *CHANNEL_OPENS[case])


async def test_a_forwarded_connection_from_a_host_in_latin1_is_served(
    server: Server, connection: Connection
) -> None:
    accepted: list[tuple[object, ...]] = []

    def session(*origin: object) -> asyncssh.SSHTCPSession[bytes]:
        accepted.append(origin)
        return asyncssh.SSHTCPSession()

    listener = await connection.transport.create_server(session, "127.0.0.1", 0)
    transport = server_side(server)
    channel = transport.create_tcp_channel()
    host = String("127.0.0.1") + UInt32(listener.get_port())
    packet = await channel._open(b"forwarded-tcpip", host, String(LATIN1), UInt32(7))
    packet.check_end()

    assert accepted == [("Z\\xfcrich", 7)]
    channel.abort()
    listener.close()


async def test_an_unknown_global_request_in_latin1_is_refused(
    server: Server, connection: Connection
) -> None:
    kind, _ = await server_side(server)._make_global_request(LATIN1)

    assert kind == MSG_REQUEST_FAILURE


async def test_requests_on_a_channel_in_latin1_are_refused(
    server: Server, connection: Connection
) -> None:
    results: list[bool] = []

    class Asking(asyncssh.SSHTCPSession[bytes]):
        def connection_made(self, chan: Any) -> None:
            async def ask() -> None:
                results.append(await chan._make_request(LATIN1, String(LATIN1)))
                results.append(await chan._make_request(b"signal", String(LATIN1)))

            server_side(server).create_task(ask())

    server.session = Asking
    channel, _ = await connection.transport.create_connection(asyncssh.SSHTCPSession, "x", 1)
    await until(lambda: len(results) == 2)
    channel.abort()

    assert results == [False, False]


async def test_an_exit_signal_in_latin1_ends_only_its_command(tmp_path: Path) -> None:
    class Killed(asyncssh.SSHServerSession[bytes]):
        def connection_made(self, chan: Any) -> None:
            self._channel = chan

        def exec_requested(self, command: str) -> bool:
            return True

        def session_started(self) -> None:
            text = Boolean(False) + String(LATIN1) + String(LATIN1)
            signal = String(b"exit-signal") + Boolean(False) + String(LATIN1)
            self._channel.send_packet(MSG_CHANNEL_REQUEST, signal, text)
            self._channel.close()

    class Shell(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return False

        def session_requested(self) -> Any:
            return Killed()

    async with (
        serve(tmp_path, server_factory=Shell, encoding=None) as server,
        connected(server.host()) as connection,
    ):
        endpoint = CommandEndpoint()
        await connection.run_command(RemoteCommand(CommandKind.COMMAND, "true"), endpoint)
        async with asyncio.timeout(DEADLINE):
            assert await endpoint.exit_status == 255
        assert await connection.transport.send_keepalive()


@pytest.mark.parametrize("partial", [False, True])
async def test_the_methods_of_a_refused_login_may_be_in_latin1(
    tmp_path: Path, partial: bool
) -> None:
    class Refusing(asyncssh.SSHServer):
        def connection_made(self, conn: Any) -> None:
            def refuse(_partial: bool) -> None:
                methods = NameList([LATIN1, b"\x1b[2J"])
                conn.send_packet(MSG_USERAUTH_FAILURE, methods, Boolean(partial))

            conn.send_userauth_failure = refuse

        def begin_auth(self, username: str) -> bool:
            return True

    async with serve(tmp_path, server_factory=Refusing) as server:
        failure = await failure_of(server.host())

    assert failure.cause is Cause.AUTH
    assert failure.message.isprintable()
    assert failure.hint.isprintable()


async def test_the_version_of_a_server_may_be_in_latin1(tmp_path: Path) -> None:
    class Accepting(asyncssh.SSHServer):
        def connection_made(self, conn: Any) -> None:
            def send_version() -> None:
                conn._server_version = b"SSH-2.0-" + LATIN1
                conn._send(conn._server_version + b"\r\n")

            conn._send_version = send_version

        def begin_auth(self, username: str) -> bool:
            return False

    async with (
        serve(tmp_path, server_factory=Accepting) as server,
        connected(server.host()) as connection,
    ):
        assert connection.transport.get_extra_info("server_version") == r"SSH-2.0-Z\xfcrich"


async def test_ignored_data_and_language_tags_are_not_read(
    server: Server, connection: Connection
) -> None:
    transport = server_side(server)
    transport.send_packet(MSG_IGNORE, String(LATIN1))
    transport.send_packet(MSG_DEBUG, Boolean(True), String("text"), String(LATIN1))


TEXTS = st.binary(max_size=40)
EXCLUDED = (
    b"exit-status",  # malformed, it ends the connection, as with the OpenSSH client
    b"exit-signal",
    b"hostkeys-00@openssh.com",  # answered by a task, which needs a loop
)
NAMES = TEXTS | st.sampled_from(
    [
        b"keepalive@openssh.com",
        b"xon-xoff",
        *(kind for kind, _ in CHANNEL_OPENS.values()),
    ]
)


@given(name=NAMES, text=TEXTS, tag=TEXTS)
def test_no_text_of_an_established_connection_ends_it(name: bytes, text: bytes, tag: bytes) -> None:
    client = Established()
    client.open()
    assume(name not in EXCLUDED)
    texts = String(text) + String(tag)
    signal = String(b"exit-signal") + Boolean(False) + String(name) + Boolean(False)
    peer = client.peer
    client.receive(
        peer.packet(MSG_DEBUG, Boolean(False), texts),
        peer.packet(MSG_GLOBAL_REQUEST, String(name), Boolean(True), texts),
        peer.packet(MSG_CHANNEL_OPEN, String(name), SIZES, texts),
        *(
            peer.packet(MSG_CHANNEL_OPEN, String(kind), SIZES, opening(kind, name, text))
            for kind in (b"forwarded-tcpip", b"forwarded-streamlocal@openssh.com", b"x11")
        ),
        peer.packet(MSG_CHANNEL_REQUEST, UInt32(0), String(name), Boolean(True), texts),
        peer.packet(MSG_CHANNEL_REQUEST, UInt32(0), signal, texts),
        peer.packet(MSG_CHANNEL_DATA, UInt32(0), String(b"data")),
    )

    assert client.state.ended == ""
    assert client.sessions[0].events == [b"data"]
    is_keepalive = name == b"keepalive@openssh.com"
    assert client.sent_numbers == [
        MSG_REQUEST_SUCCESS if is_keepalive else MSG_REQUEST_FAILURE,
        *[MSG_CHANNEL_OPEN_FAILURE] * 4,
        MSG_CHANNEL_FAILURE,
    ]


def opening(kind: bytes, name: bytes, text: bytes) -> bytes:
    """Return the fields of a channel of a type."""
    match kind:
        case b"x11":
            return String(name) + UInt32(1)
        case b"forwarded-tcpip":
            return String(name) + UInt32(22) + String(text) + UInt32(1)
    return String(name) + String(text)


# -- rewriting -------------------------------------------------------------------------------------


@given(st.binary(), st.binary())
def test_any_global_request_keeps_its_fields(name: bytes, fields: bytes) -> None:
    assume(name != b"keepalive@openssh.com")
    rewritten = with_ascii_name(SSHPacket(String(name) + fields))

    assert rewritten.get_string().isascii()
    assert rewritten.get_remaining_payload() == fields


def test_a_keepalive_loses_its_unknown_fields() -> None:
    name = String(b"keepalive@openssh.com")
    rewritten = with_ascii_name(SSHPacket(name + Boolean(True) + String(b"more")))

    assert rewritten.get_remaining_payload() == name + Boolean(True)


@given(
    st.sampled_from(
        [*(kind for kind, _ in CHANNEL_OPENS.values()), b"session", b"tun@openssh.com"]
    ),
    st.binary(),
)
def test_any_channel_open_is_rewritten_without_an_error(kind: bytes, fields: bytes) -> None:
    rewritten = with_readable_open(SSHPacket(String(kind) + SIZES + fields))

    assert rewritten.get_string().isascii()
    assert rewritten.get_bytes(len(SIZES)) == SIZES


@given(st.binary(max_size=2000))
def test_any_user_name_is_accepted_by_asyncssh(name: bytes) -> None:
    accepted = user_name(name)

    saslprep(accepted.decode())
    assert len(accepted) < 1024


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        (b"box", b"box"),
        ("Zürich".encode(), "Zürich".encode()),
        (LATIN1, rb"Z\xfcrich"),
        (b"a\x07b", rb"a\x07b"),
        (b"a\xff\x07", rb"a\\xff\x07"),
        (b"x" * 1023, b"x" * 1023),
        (b"x" * 1024, b"x" * USER_NAME_LIMIT),
    ],
)
def test_a_user_name_is_escaped_only_if_it_must_be(name: bytes, accepted: bytes) -> None:
    packet = SSHPacket(String(name) + b"rest")
    rewritten = with_readable_user(packet)

    assert user_name(name) == accepted
    assert (rewritten is packet) is (accepted == name)
    assert rewritten.get_string() == accepted
    assert rewritten.get_remaining_payload() == b"rest"


def test_the_address_of_a_listener_is_compared_as_it_is() -> None:
    fields = String("::1") + UInt32(22) + String(LATIN1) + UInt32(1)
    rewritten = with_readable_open(SSHPacket(String(b"forwarded-tcpip") + SIZES + fields))

    rewritten.get_string()
    rewritten.get_bytes(len(SIZES))
    assert rewritten.get_string() == b"::1"
    assert rewritten.get_uint32() == 22
    assert rewritten.get_string() == rb"Z\xfcrich"
