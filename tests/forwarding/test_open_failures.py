"""The SOCKS reply and check result for each reason code of SSH_MSG_CHANNEL_OPEN_FAILURE."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.forwarding.services import client, read_all
from tests.forwarding.sites import local_site
from tests.ssh.server import Server, connected, serve
from tunnelkeeper.core.forward_spec import RemoteForward, TcpAddress
from tunnelkeeper.core.health_checks import Check, CheckFailed, CheckImpossible, Health, record
from tunnelkeeper.core.probes import TcpProbe
from tunnelkeeper.forwarding.health_probe import check_local_forward, check_remote_forward
from tunnelkeeper.forwarding.remote_clients import RemoteClients

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tunnelkeeper.ssh.connection import Connection

DB = TcpAddress("db", 5432)
LISTEN = TcpAddress("localhost", 2222)
CHECK = Check(TcpProbe(), failures=1)
SOCKS5_REQUEST = bytes([5, 1, 0, 5, 1, 0, 3, 2]) + b"db" + (5432).to_bytes(2)

PROHIBITED, CONNECT_FAILED, UNKNOWN_TYPE, SHORTAGE = 1, 2, 3, 4  # RFC 4254 section 5.1
UNASSIGNED = 99

COUNTED = [
    (CONNECT_FAILED, "Connection refused", "connect failed: Connection refused"),
    (CONNECT_FAILED, "open failed", "connect failed: open failed"),
    (UNKNOWN_TYPE, "open failed", "unknown channel type: open failed"),
    (SHORTAGE, "open failed", "resource shortage: open failed"),
    (UNASSIGNED, "open failed", "code 99: open failed"),
]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serve(tmp_path) as server:
        server.refuse_opening = True
        yield server


@pytest.fixture
async def connection(server: Server) -> AsyncIterator[Connection]:
    async with connected(server.host()) as connection:
        yield connection


@pytest.mark.parametrize(
    ("code", "text", "rep"),
    [
        (PROHIBITED, "open failed", 0x02),
        (PROHIBITED, "Connection refused", 0x02),
        (CONNECT_FAILED, "Connection refused", 0x05),
        (CONNECT_FAILED, "Network is unreachable", 0x03),
        (CONNECT_FAILED, "No route to host", 0x04),
        (CONNECT_FAILED, "Connection timed out", 0x06),
        (CONNECT_FAILED, "open failed", 0x01),
        (UNKNOWN_TYPE, "Connection refused", 0x01),
        (SHORTAGE, "Connection refused", 0x01),
        (UNASSIGNED, "Connection refused", 0x01),
    ],
)
async def test_a_socks_client_gets_the_reply_for_the_servers_code(
    server: Server, connection: Connection, code: int, text: str, rep: int
) -> None:
    server.open_failure = (code, text)
    async with (
        local_site(None, connection) as site,
        client(site.port) as (reader, writer),
        asyncio.timeout(10),
    ):
        writer.write(SOCKS5_REQUEST)

        assert await read_all(reader) == bytes([5, 0, 5, rep, 0, 1]) + bytes(6)


@pytest.mark.parametrize(("code", "text", "message"), COUNTED)
async def test_a_check_fails_and_counts_when_the_server_cannot_open_a_channel(
    server: Server, connection: Connection, code: int, text: str, message: str
) -> None:
    server.open_failure = (code, text)

    result = await check_local_forward(connection, DB, CHECK)

    assert isinstance(result, CheckFailed)
    assert result.message == f"db:5432: {message}"
    assert "AllowTcpForwarding" not in result.hint
    assert replaces_the_connection(result)


async def test_a_check_that_the_server_prohibits_does_not_count(
    server: Server, connection: Connection
) -> None:
    server.open_failure = (PROHIBITED, "open failed")

    result = await check_local_forward(connection, DB, CHECK)

    assert isinstance(result, CheckFailed)
    assert result.message == "db:5432: administratively prohibited: open failed"
    assert "AllowTcpForwarding" in result.hint
    assert not replaces_the_connection(result)


@pytest.mark.parametrize(("code", "text", "message"), COUNTED)
async def test_a_check_of_a_remote_forward_counts_too(
    server: Server, connection: Connection, code: int, text: str, message: str
) -> None:
    server.open_failure = (code, text)

    result = await check_remote(connection)

    assert isinstance(result, CheckFailed)
    refused = "nothing listens on localhost:2222 of the server"
    failed = "the server cannot connect to its own localhost:2222"
    assert result.message == f"{refused if 'refused' in text else failed}: {message}"
    assert replaces_the_connection(result)


async def test_a_check_of_a_remote_forward_that_the_server_prohibits_is_impossible(
    server: Server, connection: Connection
) -> None:
    server.open_failure = (PROHIBITED, "open failed")

    result = await check_remote(connection)

    assert isinstance(result, CheckImpossible)
    assert not replaces_the_connection(result)


async def check_remote(connection: Connection) -> CheckFailed | CheckImpossible | None:
    async with asyncio.TaskGroup() as tasks:
        clients = RemoteClients(RemoteForward(LISTEN, DB), tasks, print)
        return await check_remote_forward(connection, LISTEN, clients, CHECK)


def replaces_the_connection(result: CheckFailed | CheckImpossible) -> bool:
    """Return whether one failed check replaces the connection if `failures` is 1."""
    return record(Health(due_at=0.0), result, CHECK, now=0.0)[1]
