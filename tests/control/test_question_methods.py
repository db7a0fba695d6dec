"""Questions over the control socket: claims, answers as raw bytes, clients that leave."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.control.fakes import FakeSupervisor, RunningServer, running_server
from tests.ssh.waiting import until
from tunnelkeeper.control import question_client
from tunnelkeeper.control.client import Client
from tunnelkeeper.control.client_errors import RemoteError
from tunnelkeeper.control.jsonrpc import ErrorCode
from tunnelkeeper.control.server import ControlServer
from tunnelkeeper.core.questions import Kind, Prompt, Subject
from tunnelkeeper.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

SECRET = b"correct horse \xff battery"
KEY = Subject(Kind.PASSPHRASE, "/home/ann/.ssh/id_ed25519")


async def check(answers: Sequence[Secret]) -> str:
    return "" if [answer.reveal() for answer in answers] == [SECRET] else "it is wrong"


def post(fake: FakeSupervisor) -> str:
    return fake.questions.post(KEY, "passphrase", (Prompt("Passphrase: "),), check, tunnel="db")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "control.sock") as running:
        post(running.fake)
        yield running


def test_a_question_is_claimed_and_answered(server: RunningServer) -> None:
    with Client(server.path) as client:
        (question,) = question_client.questions(client)
        assert (question.kind, question.tunnels) == ("passphrase", ["db"])
        claimed = question_client.claim(client, question.id)
        wrong = question_client.answer(client, claimed, [Secret(b"wrong")])
        assert (wrong.accepted, wrong.problem) == (False, "it is wrong")
        claimed = question_client.claim(client, question.id)
        assert claimed.question.problem == "it is wrong"
        secret = Secret(SECRET)
        assert question_client.answer(client, claimed, [secret]).accepted
        assert not secret
        assert question_client.questions(client) == []


def test_of_two_answers_the_first_valid_one_wins(server: RunningServer) -> None:
    with Client(server.path) as first, Client(server.path) as second:
        (question,) = question_client.questions(first)
        mine = question_client.claim(first, question.id)
        theirs = question_client.claim(second, question.id)
        assert question_client.answer(second, theirs, [Secret(SECRET)]).accepted
        with pytest.raises(RemoteError) as refused:
            question_client.answer(first, mine, [Secret(SECRET)])
    assert refused.value.code == ErrorCode.NOT_FOUND


def test_a_nonce_of_another_client_is_refused(server: RunningServer) -> None:
    with Client(server.path) as first, Client(server.path) as second:
        (question,) = question_client.questions(first)
        claimed = question_client.claim(first, question.id)
        with pytest.raises(RemoteError, match="claim it again"):
            question_client.answer(second, claimed, [Secret(SECRET)])


@asynccontextmanager
async def streams(path: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def serving(tmp_path: Path) -> AsyncIterator[tuple[FakeSupervisor, Path]]:
    fake, path = FakeSupervisor(), tmp_path / "control.sock"
    async with asyncio.TaskGroup() as tasks, ControlServer(path, fake).serving(tasks):
        yield fake, path


def request(method: str, request_id: int | None = 1, /, **params: object) -> bytes:
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    if request_id is not None:
        message["id"] = request_id
    return json.dumps(message).encode() + b"\n"


async def test_a_client_that_claims_and_leaves_releases_its_claim(tmp_path: Path) -> None:
    async with serving(tmp_path) as (fake, path):
        question_id = post(fake)
        async with streams(path) as (reader, writer):
            writer.write(request("claim", id=question_id))
            await reader.readline()
            assert fake.questions.questions[0].claimed
        await until(lambda: not fake.questions.questions[0].claimed)


async def test_a_client_that_leaves_within_its_answer_leaves_the_question_open(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as (fake, path):
        question_id = post(fake)
        async with streams(path) as (reader, writer):
            writer.write(request("claim", id=question_id))
            claimed = json.loads(await reader.readline())["result"]
            line = request("answer", id=question_id, nonce=claimed["nonce"], lengths=[len(SECRET)])
            writer.write(line + SECRET[:5])
            await writer.drain()
        await until(lambda: not fake.questions.questions[0].claimed)
        assert fake.questions.questions[0].attempt == 1


@pytest.mark.parametrize(
    "params",
    [
        {"lengths": "x"},
        {"lengths": [-1]},
        {"lengths": [10**9]},
        {"lengths": [1] * 1000},
        {"lengths": [3], "more": 1},
    ],
)
async def test_answers_of_unknown_length_are_not_read_as_requests(
    tmp_path: Path, params: dict[str, object]
) -> None:
    async with serving(tmp_path) as (fake, path):
        question_id = post(fake)
        async with streams(path) as (reader, writer):
            writer.write(request("answer", id=question_id, nonce="n", **params))
            writer.write(request("shutdown", 2))
            answer = json.loads(await reader.readline())
            assert answer["error"]["code"] == ErrorCode.INVALID_PARAMS
            assert await reader.read() == b"", "the connection stays open"
        assert not fake.has_ended.is_set()


async def test_no_mix_of_lines_and_answers_shows_a_secret_or_ends_the_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    rng = Random(5)
    async with serving(tmp_path) as (fake, path):
        question_id = post(fake)
        for _ in range(60):
            pieces = [
                request("claim", rng.choice([1, None]), id=rng.choice([question_id, "q9", ""])),
                request("attend", names=rng.choice([None, ["db"], []])),
                request("decline", id=question_id),
                request("questions"),
                request(
                    "answer",
                    rng.choice([1, None]),
                    id=question_id,
                    nonce="n",
                    lengths=rng.choice([[len(SECRET)], [4, len(SECRET) - 4], []]),
                )
                + SECRET,
                rng.randbytes(rng.randrange(40)),
            ]
            rng.shuffle(pieces)
            async with streams(path) as (reader, writer):
                writer.write(b"".join(pieces)[: rng.randrange(1, 1500)])
                writer.write_eof()
                try:
                    received = await reader.read()
                except ConnectionError:
                    received = b""
            assert b"battery" not in received
        assert fake.questions.questions[0].id == question_id
    assert "battery" not in caplog.text
