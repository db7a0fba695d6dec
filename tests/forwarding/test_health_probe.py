"""One check through a connection: how far it comes, and what is said of it."""

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
    from tunnelkeeper.forwarding.gate import OnError

DB, HERE = TcpAddress("db", 5432), TcpAddress("localhost", 2222)
PATIENCE = 20.0
"""Seconds that no check here waits for: it gets its answer."""
IMPATIENCE = 0.05
"""Seconds until a check gives up to which nobody answers."""
TCP = Check(TcpProbe(), timeout=PATIENCE)
HTTP = Check(HttpProbe("intranet", "/health"), timeout=PATIENCE)
IMPATIENT = Check(HTTP.probe, timeout=IMPATIENCE)

Say = Callable[[ChannelEndpoint], object]


@dataclass
class FakeOpener:
    """A connection whose channels do what the test wants once they are open.

    refusal: no channel opens. hangs: none is even refused.
    """

    says: Say = lambda _: None
    refusal: ConnectError | None = None
    hangs: bool = False
    is_closed: bool = False
    asked: list[Address] = field(default_factory=list)
    channel: FakeChannel = field(default_factory=FakeChannel)

    def open_channel(
        self, target: Address, end: ChannelEndpoint, origin: tuple[str, int], refused: OnError
    ) -> None:
        del origin
        self.asked.append(target)
        if self.refusal is not None:
            refused(self.refusal)
            return
        if self.hangs:
            return
        end.connection_made(self.channel)
        asyncio.get_running_loop().call_soon(self.says, end)


def piecewise(answer: bytes) -> Say:
    """Send it byte by byte."""

    def say(end: ChannelEndpoint) -> None:
        for number in range(len(answer)):
            end.data_received(answer[number : number + 1])

    return say


async def test_tcp_is_content_with_a_connection_and_lets_it_go() -> None:
    opener = FakeOpener()

    assert await check_local_forward(opener, DB, TCP) is None
    assert opener.asked == [DB]
    assert opener.channel.done == ["close"]


async def test_http_asks_once_and_reads_the_status_however_it_comes() -> None:
    opener = FakeOpener(piecewise(b"HTTP/1.1 301 Moved\r\nLocation: /login\r\n\r\n"))

    assert await check_local_forward(opener, DB, HTTP) is None
    request, *rest = opener.channel.done
    assert isinstance(request, bytes)
    assert request.startswith(b"GET /health HTTP/1.1\r\nHost: intranet\r\n")
    assert b"\r\nConnection: close\r\n" in request
    assert rest == ["close"]


async def test_the_target_of_the_probe_goes_before_that_of_the_forward() -> None:
    opener = FakeOpener()

    await check_local_forward(opener, None, Check(TcpProbe(DB)))

    assert opener.asked == [DB]


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (piecewise(b"HTTP/1.1 500 Oops\r\n"), "db:5432 answered /health with the HTTP status 500"),
        (piecewise(b"SSH-2.0-OpenSSH_9.2\r\n"), "db:5432: the answer is not HTTP"),
        (piecewise(b"HTTP/1.1 hello wor"), "db:5432: the answer has no HTTP/1 status line"),
        (lambda end: end.eof_received(), "db:5432 closed without an HTTP answer"),
        (lambda end: end.connection_lost(None), "db:5432 closed without an HTTP answer"),
        (lambda end: end.data_received(b"\0" * 10**6), "db:5432: the answer is not HTTP"),
    ],
)
async def test_an_answer_that_is_not_good_is_told(says: Say, message: str) -> None:
    found = await check_local_forward(FakeOpener(says), DB, HTTP)

    assert isinstance(found, CheckFailed)
    assert found.message == message


@pytest.mark.parametrize(
    ("opener", "message"),
    [
        (FakeOpener(hangs=True), "no connection to db:5432 within 0.05 s"),
        (FakeOpener(), "no HTTP answer from db:5432 within 0.05 s"),
        (FakeOpener(piecewise(b"HTTP/1.1 2")), "no HTTP answer from db:5432 within 0.05 s"),
    ],
)
async def test_silence_is_told_with_how_far_it_came(opener: FakeOpener, message: str) -> None:
    found = await check_local_forward(opener, DB, IMPATIENT)

    assert isinstance(found, CheckFailed)
    assert found.message == message


@pytest.mark.parametrize(
    ("reason", "is_forbidden"),
    [(Reason.REFUSED, False), (Reason.NOT_PERMITTED, True)],
)
async def test_a_refusal_is_told_apart_from_a_prohibition(
    reason: Reason, *, is_forbidden: bool
) -> None:
    opener = FakeOpener(refusal=ConnectError(reason, "said the server"))

    found = await check_local_forward(opener, DB, TCP)

    assert isinstance(found, CheckFailed)
    assert (found.message, found.is_forbidden) == ("db:5432: said the server", is_forbidden)


# -- remote forwards -------------------------------------------------------------------------------


def coming_back(clients: RemoteClients, tasks: asyncio.TaskGroup) -> Say:
    """What a server does with a connection to its port: it opens a channel to us, and ends it."""
    return lambda _: tasks.create_task(visit(clients))


async def visit(clients: RemoteClients) -> None:
    with suppress(ConnectError):
        end = await clients.accept()
        end.connection_made(FakeChannel())
        end.connection_lost(None)


async def test_a_connection_that_comes_back_is_good_and_not_counted() -> None:
    async with service(echo) as port, asyncio.TaskGroup() as tasks:
        clients = RemoteClients(RemoteForward(HERE, TcpAddress("127.0.0.1", port)), tasks, print)

        found = await check_remote_forward(
            FakeOpener(coming_back(clients, tasks)), HERE, clients, TCP
        )

        assert found is None
        assert clients.counters.connections_total == 0
        await visit(clients)
        assert clients.counters.connections_total == 1


async def test_a_socks_proxy_of_the_server_is_good_when_a_connection_comes_back() -> None:
    async with asyncio.TaskGroup() as tasks:
        clients = RemoteClients(RemoteSocksForward(HERE), tasks, print)
        opener = FakeOpener(lambda _: tasks.create_task(clients.accept()))

        assert await check_remote_forward(opener, HERE, clients, TCP) is None


async def test_a_target_that_refuses_is_told_once_and_as_the_checks() -> None:
    refused: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        target = TcpAddress("127.0.0.1", closed_port())
        clients = RemoteClients(RemoteForward(HERE, target), tasks, refused.append)
        opener = FakeOpener(coming_back(clients, tasks))

        found = await check_remote_forward(opener, HERE, clients, TCP)

        assert isinstance(found, CheckFailed)
        assert found.message.startswith("it came back here, but the target refused: 127.0.0.1:")
        assert refused == []


@pytest.mark.parametrize(
    ("opener", "message"),
    [
        (
            FakeOpener(),
            "a connection to localhost:2222 on the server did not come back here within",
        ),
        (FakeOpener(piecewise(b"220 mail")), "another program answers on the server's port"),
        (
            FakeOpener(lambda end: end.eof_received()),
            "the server closed the connection instead of passing it on",
        ),
        (
            FakeOpener(refusal=ConnectError(Reason.REFUSED, "Connection refused")),
            "nothing listens on localhost:2222 of the server: Connection refused",
        ),
    ],
)
async def test_what_does_not_come_back_is_told_by_how_it_did_not(
    opener: FakeOpener, message: str
) -> None:
    async with asyncio.TaskGroup() as tasks:
        clients = RemoteClients(RemoteForward(HERE, DB), tasks, print)

        found = await check_remote_forward(opener, HERE, clients, IMPATIENT)

    assert isinstance(found, CheckFailed)
    assert found.message.startswith(message)


async def test_a_server_that_forbids_the_check_says_nothing_of_the_forward() -> None:
    async with asyncio.TaskGroup() as tasks:
        clients = RemoteClients(RemoteForward(HERE, DB), tasks, print)
        refusal = ConnectError(Reason.NOT_PERMITTED, "open failed")

        found = await check_remote_forward(FakeOpener(refusal=refusal), HERE, clients, TCP)

    assert found == CheckImpossible(
        "the server does not let us connect to its own localhost:2222: open failed"
    )
