"""Servers that do not answer some of the requests that they must answer."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NoReturn

import pytest
from asyncssh.constants import MSG_REQUEST_FAILURE

from tests.ssh import unresponsive
from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import Server, connected
from tests.ssh.unresponsive import KEEPALIVE
from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.core.configuration import Keepalive
from tunnelkeeper.core.failures import Cause, FailureError
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.ssh import connection as connection_module
from tunnelkeeper.ssh import liveness
from tunnelkeeper.ssh.connect import connect_hop
from tunnelkeeper.ssh.context import SshContext
from tunnelkeeper.ssh.liveness import KeepaliveSupport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tunnelkeeper.core.failures import Failure
    from tunnelkeeper.ssh.connection import Connection
    from tunnelkeeper.ssh.remote_listener import RemoteListener

ANY_PORT, OTHER_PORT = TcpAddress("127.0.0.1", 0), TcpAddress("localhost", 0)
LISTEN = b"tcpip-forward"
NEVER = Keepalive(0, 3)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "KEEPALIVE_PATIENCE", 0.1)
    monkeypatch.setattr(liveness, "KEEPALIVE_GRACE", 0.1)


async def reject(*_origin: object) -> NoReturn:
    raise AssertionError("no client comes")


async def listen(connection: Connection, address: TcpAddress = ANY_PORT) -> RemoteListener:
    async with asyncio.timeout(DEADLINE):
        return await connection.listen(address, reject)


async def listen_failure(connection: Connection) -> Failure:
    with pytest.raises(FailureError) as failed:
        await listen(connection)
    return failed.value.failure


@asynccontextmanager
async def unmeasured(server: Server, keepalive: Keepalive = NEVER) -> AsyncIterator[Connection]:
    """Connect to the server without a keepalive."""
    host = server.host(keepalive=keepalive)
    connection = await connect_hop(host, None, SshContext(), ProgressRecorder())
    try:
        yield connection
    finally:
        await connection.close()


# Keepalives


async def test_no_keepalive_is_sent_before_the_round_trip_is_measured(server: Server) -> None:
    async with unmeasured(server) as connection:
        await listen(connection)

        assert server.requests == [LISTEN]
        assert connection.answers_keepalives is None


async def test_a_server_that_answers_keepalives_is_not_probed_with_channels(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "KEEPALIVE_PATIENCE", DEADLINE)
    received: list[bytes] = []

    def record(_: int, name: bytes) -> bool:
        received.append(name)
        return False

    server.ignores = record
    async with connected(server.host()) as connection:
        await until(lambda: connection.rtt_ms is not None)

        assert connection.answers_keepalives is True
    assert received == [KEEPALIVE, KEEPALIVE]


async def test_requests_are_answered_although_the_server_ignores_keepalives(
    server: Server,
) -> None:
    server.ignores = unresponsive.keepalives
    progress = ProgressRecorder()
    async with connected(server.host(keepalive=NEVER), progress) as connection:
        await listen(connection)
        await until(lambda: connection.rtt_ms is not None)
        listener = await listen(connection, OTHER_PORT)
        await listener.close()

        assert connection.answers_keepalives is False
    assert server.requests == [KEEPALIVE, LISTEN, LISTEN, b"cancel-tcpip-forward"]
    assert "it does not answer keepalives" in progress.infos[0]


async def test_a_server_that_ignores_keepalives_stays_connected(server: Server) -> None:
    server.ignores = unresponsive.keepalives
    keepalive = Keepalive(0.1, 3)
    async with connected(server.host(keepalive=keepalive)) as connection:
        await until(lambda: connection.answers_keepalives is False)
        received_at = connection.transport.last_received_at
        dead_after = keepalive.interval * (keepalive.count_max + 1)
        await until(lambda: connection.transport.last_received_at > received_at + 2 * dead_after)

        assert not connection.is_closed
        assert connection.channel_count == 0


async def test_a_server_that_stops_to_answer_keepalives_stays_connected(server: Server) -> None:
    keepalive = Keepalive(0.1, 3)
    async with connected(server.host(keepalive=keepalive)) as connection:
        await until(lambda: connection.rtt_ms is not None)
        server.ignores = unresponsive.keepalives
        received_at = connection.transport.last_received_at
        dead_after = keepalive.interval * (keepalive.count_max + 1)
        await until(lambda: connection.transport.last_received_at > received_at + 2 * dead_after)

        assert not connection.is_closed


@pytest.mark.parametrize("ignored_from", ["login", "later"])
async def test_a_server_that_answers_nothing_is_dead(server: Server, ignored_from: str) -> None:
    if ignored_from == "login":
        server.ignores = unresponsive.everything
    async with connected(server.host(keepalive=Keepalive(0.1, 2))) as connection:
        if ignored_from == "later":
            await until(lambda: connection.rtt_ms is not None)
            server.ignores = unresponsive.everything
        async with asyncio.timeout(DEADLINE):
            failure = await connection.wait_ended()

    assert failure.cause is Cause.PEER_DEAD
    assert failure.message.startswith("no answer to 2 keepalives")


async def test_a_late_answer_to_a_keepalive_does_not_end_the_connection(server: Server) -> None:
    server.ignores = unresponsive.keepalives
    async with connected(server.host(keepalive=NEVER)) as connection:
        await until(lambda: connection.rtt_ms is not None)
        (peer,) = server.connections
        peer.send_packet(MSG_REQUEST_FAILURE)
        await connection.transport.send_keepalive()

        assert not connection.is_closed


async def test_a_probe_is_no_channel_of_the_tunnel(server: Server) -> None:
    server.ignores = unresponsive.everything
    idle: list[None] = []
    async with unmeasured(server) as connection:
        connection.transport._open_probe()

        assert connection.channel_count == 0
        connection.call_when_idle(lambda: idle.append(None))
        assert idle == [None]


async def test_a_probe_that_the_server_accepts_is_closed(server: Server) -> None:
    async with unmeasured(server) as connection:
        probe = liveness.ProbeChannel(connection.transport, asyncio.get_running_loop())
        probe.process_open_confirmation(7, 1, 1, None)  # type: ignore[arg-type]

        assert probe.answered.done()
        await until(lambda: connection.transport._channels == {})


async def test_the_support_of_keepalives_is_unknown_while_nothing_is_answered(
    server: Server,
) -> None:
    server.ignores = unresponsive.everything
    async with connected(server.host(keepalive=NEVER)) as connection:
        await until(lambda: connection.transport.probe_count == 1)

        assert connection.transport.keepalive_support is KeepaliveSupport.UNKNOWN


# Requests to listen


async def test_an_unanswered_request_to_listen_fails_in_time_and_is_not_repeated(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "ANSWER_TIMEOUT", 0.1)
    server.ignores = unresponsive.global_requests
    async with unmeasured(server) as connection:
        failure = await listen_failure(connection)
        again = await listen_failure(connection)

        assert server.requests == [LISTEN]
    assert failure.cause is Cause.TIMEOUT
    assert "has not answered the request to listen on 127.0.0.1:0 within 0.1 s" in failure.message
    assert again == failure


async def test_a_request_to_listen_that_is_answered_late_is_made_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "ANSWER_TIMEOUT", 0.1)
    server.may_listen.clear()
    async with unmeasured(server) as connection:
        assert (await listen_failure(connection)).cause is Cause.TIMEOUT
        server.may_listen.set()
        monkeypatch.setattr(connection_module, "ANSWER_TIMEOUT", DEADLINE)
        await listen(connection)

        assert server.listening == 2


async def test_a_standby_connection_must_answer_in_time(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "ANSWER_TIMEOUT", 0.1)
    server.ignores = unresponsive.everything
    async with unmeasured(server) as connection:
        with pytest.raises(FailureError, match=r"has not answered any request"):
            await connection.wait_for_answer()
        server.ignores = unresponsive.global_requests
        monkeypatch.setattr(connection_module, "ANSWER_TIMEOUT", DEADLINE)
        await connection.wait_for_answer()
