"""Every message of a client that carries text or a name: no encoding ends its connection."""

from __future__ import annotations

import logging
import os
import subprocess
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from asyncssh.constants import (
    DISC_BY_APPLICATION,
    MSG_DEBUG,
    MSG_DISCONNECT,
    MSG_REQUEST_FAILURE,
)
from asyncssh.packet import Boolean, String, UInt32

from tests.relay.in_process_relay import LOOPBACK, InProcessRelay
from tests.relay.openssh_client import GREETING
from tests.relay.relay_process import USER, RelayProcess, start_relay
from tests.ssh.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.sandbox import Sandbox

LATIN1 = "Zürich".encode("latin-1")
PLACE = String(LATIN1) + UInt32(22)

GLOBAL_REQUESTS = {
    "an unknown name": (LATIN1, b""),
    "tcpip-forward": (b"tcpip-forward", PLACE),
    "cancel-tcpip-forward": (b"cancel-tcpip-forward", PLACE),
    "streamlocal-forward": (b"streamlocal-forward@openssh.com", String(LATIN1)),
    "cancel-streamlocal-forward": (b"cancel-streamlocal-forward@openssh.com", String(LATIN1)),
}

CHANNEL_OPENS = {
    "an unknown type": (LATIN1, b""),
    "direct-tcpip": (b"direct-tcpip", PLACE + PLACE),
    "direct-streamlocal": (
        b"direct-streamlocal@openssh.com",
        String(LATIN1) + String(LATIN1) + UInt32(0),
    ),
    "forwarded-tcpip": (b"forwarded-tcpip", PLACE + PLACE),
    "x11": (b"x11", PLACE),
}

CHANNEL_REQUESTS = {
    "an unknown name": (LATIN1, b""),
    "signal": (b"signal", String(LATIN1)),
    "env": (b"env", String(LATIN1) + String(LATIN1)),
    "pty-req": (b"pty-req", String(LATIN1) + UInt32(80) * 4 + String(b"")),
    "x11-req": (b"x11-req", Boolean(False) + String(LATIN1) * 2 + UInt32(0)),
}

USERS = [LATIN1, b"a\x07b", "a\N{RIGHT-TO-LEFT OVERRIDE}b".encode(), b"\xff" * 300, b"x" * 2000]


@pytest.mark.parametrize("case", GLOBAL_REQUESTS)
async def test_a_global_request_in_latin1_is_refused(relay: InProcessRelay, case: str) -> None:
    name, fields = GLOBAL_REQUESTS[case]
    async with relay.client() as connection:
        kind, _ = await connection._make_global_request(name, fields)
        assert kind == MSG_REQUEST_FAILURE
        assert await is_alive(connection)


@pytest.mark.parametrize("case", CHANNEL_OPENS)
async def test_a_channel_in_latin1_is_refused(relay: InProcessRelay, case: str) -> None:
    kind, fields = CHANNEL_OPENS[case]
    async with relay.client() as connection:
        channel: Any = connection.create_tcp_channel()
        with pytest.raises(asyncssh.ChannelOpenError):
            await channel._open(kind, fields)
        assert await is_alive(connection)


@pytest.mark.parametrize("case", CHANNEL_REQUESTS)
async def test_a_request_on_a_session_in_latin1_is_refused(
    relay: InProcessRelay, case: str
) -> None:
    name, fields = CHANNEL_REQUESTS[case]
    async with relay.client() as connection:
        channel: Any = connection.create_tcp_channel()
        await channel._open(b"session")
        channel._recv_state = channel._send_state = "open"
        await channel._make_request(name, fields)
        channel.abort()
        assert await is_alive(connection)


async def test_a_disconnect_in_latin1_is_logged_as_escapes(
    relay: InProcessRelay, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with relay.client() as connection:
        connection.send_packet(MSG_DEBUG, Boolean(True), String(LATIN1), String(LATIN1))
        reason = String(LATIN1) + String(LATIN1)
        connection.send_packet(MSG_DISCONNECT, UInt32(DISC_BY_APPLICATION + 1), reason)
        await relay.wait_until_no_clients()

    assert r"Z\xfcrich" in caplog.text


@pytest.mark.parametrize("user", USERS)
async def test_any_user_name_may_try_and_is_refused(relay: InProcessRelay, user: bytes) -> None:
    failures: list[object] = []

    class Client(asyncssh.SSHClient):
        def connection_made(self, conn: Any) -> None:
            conn._username = user  # asyncssh sends it as it is

        def connection_lost(self, exc: Exception | None) -> None:
            failures.append(exc)

    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(
            LOOPBACK,
            relay.port,
            config=None,
            username="someone",
            client_factory=Client,
            client_keys=[relay.key],
            known_hosts=None,
            agent_path=None,
        )
    await until(lambda: failures)


async def test_the_version_of_a_client_may_be_in_latin1(relay: InProcessRelay) -> None:
    class Client(asyncssh.SSHClient):
        def connection_made(self, conn: Any) -> None:
            def send_version() -> None:
                conn._client_version = b"SSH-2.0-" + LATIN1
                conn._send(conn._client_version + b"\r\n")

            conn._send_version = send_version

    async with relay.client(client_factory=Client):
        [client] = await until(lambda: relay.clients)
        assert client.version == r"SSH-2.0-Z\xfcrich"


# -- side by side with sshd ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def process(shared_sandbox: Sandbox) -> Iterator[RelayProcess]:
    relay = start_relay(shared_sandbox, limits={"penalties": False})
    yield relay
    assert "please report it" not in relay.log()


@pytest.mark.parametrize("user", [LATIN1, b"\xff", "Zürich".encode()])
def test_ssh_is_refused_as_by_sshd(
    shared_sandbox: Sandbox, process: RelayProcess, user: bytes
) -> None:
    server = shared_sandbox.sshd()
    name = os.fsdecode(user)
    answers = [
        ssh(shared_sandbox, port, "-l", name, LOOPBACK, "true")
        for port in (process.port, server.port)
    ]

    by_relay, by_sshd = (answer.stderr.strip() for answer in answers)
    assert b"Permission denied (publickey)." in by_relay
    assert by_relay == by_sshd


def test_a_command_in_latin1_gets_the_message(
    shared_sandbox: Sandbox, process: RelayProcess
) -> None:
    command = os.fsdecode(b"echo " + LATIN1)
    answer = ssh(shared_sandbox, process.port, f"{USER}@{LOOPBACK}", command)

    assert GREETING.encode() in answer.stderr


def ssh(sandbox: Sandbox, port: int, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(sandbox.ssh(port, *arguments), capture_output=True, check=False)


async def is_alive(connection: asyncssh.SSHClientConnection) -> bool:
    """Return whether the relay still answers."""
    await connection._make_global_request(b"keepalive@openssh.com")
    return not connection.is_closed()
