"""Ad-hoc tunnels over the control socket: opened, and ended with their connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.control.fakes import RunningServer, running_server
from tunnelkeeper.control.client import Client
from tunnelkeeper.control.client_errors import RemoteError
from tunnelkeeper.control.jsonrpc import ErrorCode
from tunnelkeeper.control.payloads import OpenParams
from tunnelkeeper.core.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TABLE: dict[str, object] = {"host": "relay", "local": ["5432:db:5432"]}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "control.sock") as running:
        yield running


def wait_until_ended(server: RunningServer, name: str) -> None:
    async def ended() -> None:
        await server.fake.has_ended_tunnel.wait()

    server.run(ended())
    assert server.fake.ended == [name]


def test_a_tunnel_is_opened_and_its_table_can_be_read(server: RunningServer) -> None:
    with Client(server.path) as client:
        opened = client.open(TABLE, "mine", 60)

        assert opened.name == "mine"
        assert client.table("mine") == TABLE
        assert client.status(["mine"]).tunnels[0].ad_hoc
        with pytest.raises(RemoteError) as unknown:
            client.table("db")
        assert unknown.value.code == ErrorCode.NOT_FOUND
    assert server.fake.requests == [("open", OpenParams(TABLE, "mine", 60))]


def test_a_bound_tunnel_ends_with_its_connection(server: RunningServer) -> None:
    with Client(server.path) as client:
        client.open(TABLE, bound=True)
        assert server.fake.ended == []
    wait_until_ended(server, "relay")


def test_a_tunnel_that_is_not_bound_outlives_its_connection(server: RunningServer) -> None:
    with Client(server.path) as client:
        client.open(TABLE, "first")
        client.open(TABLE, "second", bound=True)
    wait_until_ended(server, "second")


@pytest.mark.parametrize("seconds", [0, 0.5, 31622401])
def test_the_time_of_a_tunnel_has_limits(server: RunningServer, seconds: float) -> None:
    with Client(server.path) as client, pytest.raises(RemoteError) as refused:
        client.open(TABLE, for_seconds=seconds)
    assert refused.value.code == ErrorCode.INVALID_PARAMS


def test_the_problems_of_a_tunnel_are_listed(server: RunningServer) -> None:
    server.fake.problems = [Message("local: listens on localhost:5432 already", "end it")]
    with Client(server.path) as client, pytest.raises(RemoteError) as refused:
        client.open(TABLE)

    assert refused.value.code == ErrorCode.BAD_CONFIG
    assert list(refused.value.problems) == server.fake.problems
