"""The lookup of a name that a client wants to listen on."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.relay import host_names
from tunnelkeeper.relay.host_names import MAX_LOOKUPS, HostNames

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 30.0


class NameServer:
    """Answers lookups. silent: names without an answer, until `release` is set."""

    def __init__(self, hosts: dict[str, str], silent: tuple[str, ...] = ()) -> None:
        self.hosts = hosts
        self.silent = silent
        self.release = threading.Event()
        self.asked: list[str] = []

    def look_up(self, name: str) -> list[str]:
        self.asked.append(name)
        if name in self.silent:
            self.release.wait(DEADLINE)
        if address := self.hosts.get(name, self.hosts.get("*")):
            return [address]
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.fixture
def slow_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """Return a name server that does not answer for a1, a2, ... and a short timeout."""
    monkeypatch.setattr(host_names, "LOOKUP_TIMEOUT", 0.05)
    server = NameServer({}, tuple(f"a{number}" for number in range(MAX_LOOKUPS + 5)))
    yield server
    server.release.set()


async def test_a_name_that_resolves_is_refused() -> None:
    names = HostNames(NameServer({"db": "192.0.2.1"}).look_up)

    refusal = await names.check("db")

    assert str(refusal) == (
        "db is a host, 192.0.2.1, for the relay, so no client can listen on this name"
    )
    assert await names.check("box17") is None


async def test_a_wildcard_record_of_a_search_domain_makes_no_name_a_host() -> None:
    names = HostNames(NameServer({"*": "192.0.2.9", "db": "192.0.2.1"}).look_up)

    assert await names.check("box17") is None
    assert await names.check("db") is not None


async def test_a_name_server_that_does_not_answer_keeps_no_box_out(
    slow_server: NameServer,
) -> None:
    assert await HostNames(slow_server.look_up).check("a1") is None


async def test_a_name_is_looked_up_once_at_a_time(slow_server: NameServer) -> None:
    names = HostNames(slow_server.look_up)

    await asyncio.gather(*(names.check("a1") for _ in range(5)))
    await names.check("a1")

    assert slow_server.asked == ["a1"]


async def test_the_number_of_concurrent_lookups_is_limited(slow_server: NameServer) -> None:
    names = HostNames(slow_server.look_up)

    await asyncio.gather(*(names.check(name) for name in slow_server.silent))

    assert len(slow_server.asked) == MAX_LOOKUPS


async def test_a_label_that_the_resolver_rejects_is_no_host() -> None:
    def reject(_: str) -> list[str]:
        raise UnicodeError("label too long")

    assert await HostNames(reject).check("box17") is None
