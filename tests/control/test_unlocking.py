"""The methods that unlock and lock private keys, as a client of the control protocol sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.control.fakes import FakeSupervisor
from tests.control.test_server import RunningControlServer, serving
from tests.fake_clock import until
from tunnelkeeper.control.jsonrpc import ErrorCode
from tunnelkeeper.core.questions import Kind, Prompt, Subject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningControlServer]:
    async with serving(tmp_path / "control.sock", FakeSupervisor()) as running:
        yield running


async def test_a_question_that_only_unlock_asks_is_closed_when_its_client_leaves(
    server: RunningControlServer,
) -> None:
    board = server.fake.questions
    board.post(Subject(Kind.PASSPHRASE, "/key"), "locked", [Prompt("Passphrase: ")], _refuse)
    async with server.connect() as client:
        answer = await client.call("unlock", key="/key", for_seconds=3600)
        assert answer["result"] == {"questions": ["q1"], "problems": []}
        assert board.questions

    await until(lambda: not board.questions)
    assert server.fake.requests == [("unlock", "/key", [], 3600)]


async def test_a_question_that_a_tunnel_waits_for_stays_when_the_client_leaves(
    server: RunningControlServer,
) -> None:
    board = server.fake.questions
    key = Subject(Kind.PASSPHRASE, "/key")
    board.post(key, "locked", [Prompt("Passphrase: ")], _refuse, tunnel="db")
    async with server.connect() as client:
        await client.call("unlock", names=["db"])
        await client.call("decline", id="q1")
        assert board.questions


@pytest.mark.parametrize("params", [{"key": "/a", "names": ["db"]}, {"for_seconds": 0}])
async def test_unlock_refuses_parameters_without_a_meaning(
    server: RunningControlServer, params: dict[str, Any]
) -> None:
    async with server.connect() as client:
        answer = await client.call("unlock", **params)

    assert answer["error"]["code"] == ErrorCode.INVALID_PARAMS


async def test_lock_says_what_was_forgotten(server: RunningControlServer) -> None:
    async with server.connect() as client:
        assert (await client.call("lock"))["result"] == {"keys": 2, "passwords": 1}


async def _refuse(_answers: object) -> str:
    return "the passphrase is wrong"
