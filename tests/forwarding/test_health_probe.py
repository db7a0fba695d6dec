"""One check through a connection, and its failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.forwarding.fakes import FakeChannel
from tests.forwarding.services import echo, service
from tests.ssh.links import closed_port
from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.forward_spec import Address, RemoteForward, RemoteSocksForward, TcpAddress
from tunnelkeeper.core.health_checks import Check, CheckFailed, CheckImpossible
from tunnelkeeper.core.probes import HttpProbe, TcpProbe
from tunnelkeeper.forwarding.health_probe import check_local_forward, check_remote_forward
from tunnelkeeper.forwarding.pump import ChannelEndpoint
from tunnelkeeper.forwarding.remote_clients import RemoteClients

if TYPE_CHECKING:
    from tunnelkeeper.core.connect_error import OnError

DB, LISTEN = TcpAddress("db", 5432), TcpAddress("localhost", 2222)
TIMEOUT = 20.0
"""Seconds; checks that get an answer never wait this long."""
SHORT_TIMEOUT = 0.05
"""Seconds until a check without an answer fails."""
TCP = Check(TcpProbe(), timeout=TIMEOUT)
HTTP = Check(HttpProbe("intranet", "/health"), timeout=TIMEOUT)
WITH_SHORT_TIMEOUT = Check(HTTP.probe, timeout=SHORT_TIMEOUT)

Behavior = Callable[[ChannelEndpoint], object]


@dataclass
class FakeOpener:
    """A connection whose open channels call `behavior`.

    error: the error of every open. hangs: no open succeeds or fails.
    """

    behavior: Behavior = lambda _: None
    error: ConnectError | None = None
    hangs: bool = False
    is_closed: bool = False
    targets: list[Address] = field(default_factory=list)
    channel: FakeChannel = field(default_factory=FakeChannel)

    def open_channel(
        self, target: Address, endpoint: ChannelEndpoint, origin: tuple[str, int], on_error: OnError
    ) -> None:
        del origin
        self.targets.append(target)
        if self.error is not None:
            on_error(self.error)
            return
        if self.hangs:
            return
        endpoint.connection_made(self.channel)
        asyncio.get_running_loop().call_soon(self.behavior, endpoint)


def send_bytewise(answer: bytes) -> Behavior:
    """Send an answer byte by byte."""

    def send(endpoint: ChannelEndpoint) -> None:
        for number in range(len(answer)):
            endpoint.data_received(answer[number : number + 1])

    return send


async def test_a_tcp_check_passes_on_connect_and_closes() -> None:
    opener = FakeOpener()

    assert await check_local_forward(opener, DB, TCP) is None
    assert opener.targets == [DB]
    assert opener.channel.calls == ["close"]


async def test_an_http_check_sends_one_request_and_reads_a_status_in_pieces() -> None:
    opener = FakeOpener(send_bytewise(b"HTTP/1.1 301 Moved\r\nLocation: /login\r\n\r\n"))

    assert await check_local_forward(opener, DB, HTTP) is None
    request, *rest = opener.channel.calls
    assert isinstance(request, bytes)
    assert request.startswith(b"GET /health HTTP/1.1\r\nHost: intranet\r\n")
    assert b"\r\nConnection: close\r\n" in request
    assert rest == ["close"]


async def test_a_target_of_the_probe_overrides_that_of_the_forward() -> None:
    opener = FakeOpener()

    await check_local_forward(opener, None, Check(TcpProbe(DB)))

    assert opener.targets == [DB]


@pytest.mark.parametrize(
    ("behavior", "message"),
    [
        (
            send_bytewise(b"HTTP/1.1 500 Oops\r\n"),
            "db:5432 answered /health with the HTTP status 500",
        ),
        (send_bytewise(b"SSH-2.0-OpenSSH_9.2\r\n"), "db:5432: the answer is not HTTP"),
        (send_bytewise(b"HTTP/1.1 hello wor"), "db:5432: the answer has no HTTP/1 status line"),
        (lambda endpoint: endpoint.eof_received(), "db:5432 closed without an HTTP answer"),
        (lambda endpoint: endpoint.connection_lost(None), "db:5432 closed without an HTTP answer"),
        (lambda endpoint: endpoint.data_received(b"\0" * 10**6), "db:5432: the answer is not HTTP"),
    ],
)
async def test_an_invalid_response_fails_the_check(behavior: Behavior, message: str) -> None:
    result = await check_local_forward(FakeOpener(behavior), DB, HTTP)

    assert isinstance(result, CheckFailed)
    assert result.message == message


@pytest.mark.parametrize(
    ("opener", "message"),
    [
        (FakeOpener(hangs=True), "no connection to db:5432 within 0.05 s"),
        (FakeOpener(), "no HTTP answer from db:5432 within 0.05 s"),
        (FakeOpener(send_bytewise(b"HTTP/1.1 2")), "no HTTP answer from db:5432 within 0.05 s"),
    ],
)
async def test_a_timeout_reports_the_step_that_the_check_reached(
    opener: FakeOpener, message: str
) -> None:
    result = await check_local_forward(opener, DB, WITH_SHORT_TIMEOUT)

    assert isinstance(result, CheckFailed)
    assert result.message == message


@pytest.mark.parametrize(
    ("reason", "keeps_connection"),
    [(Reason.REFUSED, False), (Reason.NOT_PERMITTED, True)],
)
async def test_a_refused_connect_is_distinguished_from_a_prohibition(
    reason: Reason, *, keeps_connection: bool
) -> None:
    opener = FakeOpener(error=ConnectError(reason, "the server's text"))

    result = await check_local_forward(opener, DB, TCP)

    assert isinstance(result, CheckFailed)
    assert (result.message, result.keeps_connection) == (
        "db:5432: the server's text",
        keeps_connection,
    )


# -- remote forwards -------------------------------------------------------------------------------


def come_back(clients: RemoteClients, tasks: asyncio.TaskGroup) -> Behavior:
    """Behave like a server: open a channel to the client for each connection and close it."""
    return lambda _: tasks.create_task(open_channel_back(clients))


async def open_channel_back(clients: RemoteClients) -> None:
    with suppress(ConnectError):
        endpoint = await clients.accept()
        endpoint.connection_made(FakeChannel())
        endpoint.connection_lost(None)


async def test_a_connection_that_comes_back_passes_and_is_not_counted() -> None:
    async with service(echo) as port, asyncio.TaskGroup() as tasks:
        clients = RemoteClients(RemoteForward(LISTEN, TcpAddress("127.0.0.1", port)), tasks, print)

        result = await check_remote_forward(
            FakeOpener(come_back(clients, tasks)), LISTEN, clients, TCP
        )

        assert result is None
        assert clients.counters.connections_total == 0
        await open_channel_back(clients)
        assert clients.counters.connections_total == 1


async def test_a_remote_socks_forward_passes_when_a_connection_comes_back() -> None:
    async with asyncio.TaskGroup() as tasks:
        clients = RemoteClients(RemoteSocksForward(LISTEN), tasks, print)
        opener = FakeOpener(lambda _: tasks.create_task(clients.accept()))

        assert await check_remote_forward(opener, LISTEN, clients, TCP) is None


async def test_a_refused_target_is_reported_once_and_by_the_check() -> None:
    errors: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        target = TcpAddress("127.0.0.1", closed_port())
        clients = RemoteClients(RemoteForward(LISTEN, target), tasks, errors.append)
        opener = FakeOpener(come_back(clients, tasks))

        result = await check_remote_forward(opener, LISTEN, clients, TCP)

        assert isinstance(result, CheckFailed)
        assert result.message.startswith("it came back here, but the target refused: 127.0.0.1:")
        assert result.keeps_connection
        assert errors == []


@pytest.mark.parametrize(
    ("opener", "message"),
    [
        (
            FakeOpener(),
            "a connection to localhost:2222 on the server did not come back here within",
        ),
        (FakeOpener(send_bytewise(b"220 mail")), "another program answers on the server's port"),
        (
            FakeOpener(lambda endpoint: endpoint.eof_received()),
            "the server closed the connection instead of passing it on",
        ),
        (
            FakeOpener(error=ConnectError(Reason.REFUSED, "Connection refused")),
            "nothing listens on localhost:2222 of the server: Connection refused",
        ),
    ],
)
async def test_a_connection_that_does_not_come_back_reports_the_reason(
    opener: FakeOpener, message: str
) -> None:
    async with asyncio.TaskGroup() as tasks:
        clients = RemoteClients(RemoteForward(LISTEN, DB), tasks, print)

        result = await check_remote_forward(opener, LISTEN, clients, WITH_SHORT_TIMEOUT)

    assert isinstance(result, CheckFailed)
    assert result.message.startswith(message)


async def test_a_check_that_the_server_forbids_is_impossible() -> None:
    async with asyncio.TaskGroup() as tasks:
        clients = RemoteClients(RemoteForward(LISTEN, DB), tasks, print)
        error = ConnectError(Reason.NOT_PERMITTED, "open failed")

        result = await check_remote_forward(FakeOpener(error=error), LISTEN, clients, TCP)

    assert result == CheckImpossible(
        "the server does not let us connect to its own localhost:2222: open failed"
    )
