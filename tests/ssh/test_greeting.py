"""Servers that speak another protocol: what answered is reported, and nothing else is guessed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.forwarding.services import service
from tests.ssh.attempts import failure_at_the_deadline, failure_of
from tests.ssh.links import dropping_server, silent_server
from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import Server, jump_host
from tunnelkeeper.core.failures import Cause
from tunnelkeeper.ssh.greeting import GREETING_LIMIT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tunnelkeeper.ssh.connect import ConnectAttempt

HTTP = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n<html>..."


@asynccontextmanager
async def answering_server(answer: bytes) -> AsyncIterator[int]:
    """Run a server that reads the client's version, answers and closes; yield its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    async with service(serve) as port:
        yield port


def has_received(text: bytes) -> Callable[[ConnectAttempt], bool]:
    return lambda attempt: attempt.transport is not None and attempt.transport.greeting == text


@pytest.mark.parametrize("repeated", [1, 200, 2000])
async def test_an_http_server_that_closes_is_named(server: Server, repeated: int) -> None:
    async with answering_server(HTTP * repeated) as port:
        failure = await failure_of(server.host(ports=(port,)))

    assert failure.cause is Cause.PROTOCOL
    assert failure.message == "an HTTP server answered: 'HTTP/1.1 400 Bad Request'"
    assert "captive portal" in failure.hint


async def test_a_tls_server_is_named(server: Server) -> None:
    async with answering_server(b"\x15\x03\x03\x00\x02\x02\x46") as port:
        failure = await failure_of(server.host(ports=(port,)))

    assert failure.cause is Cause.PROTOCOL
    assert failure.message.startswith("a TLS server answered: '")
    assert "openssl s_client" in failure.hint


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (b"220 mail.example.com ESMTP\r\n", "an SMTP server"),
        (HTTP, "an HTTP server"),
        (b"\x05\xff", "a SOCKS proxy"),
    ],
)
async def test_a_server_that_waits_is_named_after_the_time_limit(
    server: Server, answer: bytes, name: str
) -> None:
    async with silent_server(answer) as port:
        failure = await failure_at_the_deadline(server.host(ports=(port,)), has_received(answer))

    assert failure.cause is Cause.PROTOCOL
    assert failure.message.startswith(f"{name} answered: ")


async def test_a_text_before_the_time_limit_is_shown(server: Server) -> None:
    text = b"please wait\r\n"
    async with silent_server(text) as port:
        host = server.host(ports=(port,), connect_timeout=15)
        failure = await failure_at_the_deadline(host, has_received(text))

    assert failure.cause is Cause.TIMEOUT
    assert failure.message == (
        "connected, but no SSH key exchange within 15 s; received before that: 'please wait'"
    )


async def test_ssh_1_is_named(server: Server) -> None:
    async with silent_server(b"SSH-1.5-1.2.27\n") as port:
        failure = await failure_of(server.host(ports=(port,)))

    assert failure.message == "a server of an old SSH version answered: 'SSH-1.5-1.2.27'"


@pytest.mark.parametrize("end", [b"\r\n", b""])
async def test_the_text_of_a_server_above_max_startups_is_shown(server: Server, end: bytes) -> None:
    async with answering_server(b"Exceeded MaxStartups" + end) as port:
        failure = await failure_of(server.host(ports=(port,)))

    assert failure.cause is Cause.LOST
    assert failure.message.endswith("; received before that: 'Exceeded MaxStartups'")
    assert "MaxStartups" in failure.hint


async def test_a_text_is_read_even_if_sending_fails_first(server: Server) -> None:
    async with dropping_server(b"Not allowed at this time\r\n") as port:  # it resets
        failure = await failure_of(server.host(ports=(port,)))

    assert failure.cause is Cause.LOST
    assert failure.message.endswith("; received before that: 'Not allowed at this time'")


async def test_an_endless_line_is_cut(server: Server) -> None:
    async with silent_server(b"x" * 100_000) as port:
        failure = await failure_of(server.host(ports=(port,)))

    assert failure.cause is Cause.PROTOCOL
    assert len(failure.message) < GREETING_LIMIT


async def test_an_http_server_behind_a_jump_host_is_named(tmp_path: Path, server: Server) -> None:
    async with jump_host(tmp_path) as (_, jump), answering_server(HTTP) as port:
        failure = await failure_of(server.host(ports=(port,)), via=jump)

    assert failure.cause is Cause.PROTOCOL
    assert failure.message == "an HTTP server answered: 'HTTP/1.1 400 Bad Request'"


async def test_other_protocols_do_not_lower_the_limit_of_logins(server: Server) -> None:
    progress = ProgressRecorder()
    async with answering_server(HTTP) as port, asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(failure_of(server.host(ports=(port,)), progress))

    assert progress.infos == []


@pytest.mark.parametrize(
    ("command", "cause", "message"),
    [
        (
            "echo 'host not allowed'; exit 2",
            Cause.PROXY,
            "the proxy command ended with exit status 2; received before that: 'host not allowed'",
        ),
        (
            "printf 'HTTP/1.1 403 Forbidden\\r\\n\\r\\n'",
            Cause.PROTOCOL,
            "an HTTP server answered: 'HTTP/1.1 403 Forbidden'",
        ),
        ("exit 3", Cause.PROXY, "the proxy command ended with exit status 3"),
    ],
)
async def test_what_a_proxy_command_writes_is_shown(
    server: Server, command: str, cause: Cause, message: str
) -> None:
    failure = await failure_of(server.host(proxy_command=f"sh -c {command!r}"))

    assert (failure.cause, failure.message) == (cause, message)
