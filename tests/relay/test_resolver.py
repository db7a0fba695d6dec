"""Host name lookups in threads, with a limit for each client."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading

import pytest

from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.shares import Holder
from tunnelkeeper.relay import resolver
from tunnelkeeper.relay.budgets import SharedBudget, relay_lookups
from tunnelkeeper.relay.resolver import MAX_LOOKUPS, Resolver


def make_resolver(budget: SharedBudget | None = None, key: int = 1) -> Resolver:
    return Resolver(budget or relay_lookups(), (Holder("this key", key),))


@pytest.mark.parametrize(
    ("host", "address"),
    [("192.0.2.1", "192.0.2.1"), ("2001:DB8::1", "2001:db8::1"), ("::ffff:1.2.3.4", "1.2.3.4")],
)
async def test_an_address_is_not_looked_up(
    host: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver, "look_up", lambda _: pytest.fail("it was looked up"))

    assert await make_resolver().addresses_of(host) == [address]


async def test_each_address_of_a_name_is_returned_once() -> None:
    addresses = await make_resolver().addresses_of("localhost")

    assert "127.0.0.1" in addresses
    assert len(addresses) == len(set(addresses))


@pytest.mark.parametrize(
    "error", [socket.gaierror(socket.EAI_NONAME, "Name not known"), UnicodeError("label too long")]
)
async def test_a_name_that_does_not_resolve_is_refused(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(_host: str) -> list[str]:
        raise error

    monkeypatch.setattr(resolver, "look_up", look_up)
    with pytest.raises(ConnectError, match=r"no\.where: ") as refused:
        await make_resolver().addresses_of("no.where")
    assert refused.value.reason is Reason.HOST_UNREACHABLE


@pytest.mark.parametrize(
    "error", [socket.gaierror(socket.EAI_AGAIN, "no answer"), OSError(errno.EMFILE, "no files")]
)
async def test_a_lookup_without_descriptors_does_not_blame_the_name(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(_host: str) -> list[str]:
        raise error

    monkeypatch.setattr(resolver, "look_up", look_up)
    monkeypatch.setattr("tunnelkeeper.net.happy_eyeballs.are_exhausted", lambda: True)
    with pytest.raises(OSError, match=r"no files|no descriptor") as caught:
        await make_resolver().addresses_of("no.where")
    assert caught.value.errno == errno.EMFILE


async def test_concurrent_lookups_of_one_client_are_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release, running = threading.Event(), threading.Semaphore(0)

    def look_up(host: str) -> list[str]:
        running.release()
        release.wait(DEADLINE)
        return [host]

    monkeypatch.setattr(resolver, "look_up", look_up)
    blocked_resolver, other_resolver = make_resolver(), make_resolver()
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        names = [f"host{number}" for number in range(3 * MAX_LOOKUPS)]
        addresses = [tasks.create_task(blocked_resolver.addresses_of(name)) for name in names]
        for _ in range(MAX_LOOKUPS):
            await until(lambda: running.acquire(blocking=False))
        tasks.create_task(other_resolver.addresses_of("another"))
        await until(lambda: running.acquire(blocking=False))  # another client is not blocked
        assert not running.acquire(blocking=False)
        release.set()
    assert [task.result() for task in addresses] == [[name] for name in names]


async def test_an_abandoned_lookup_has_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    release, ended = threading.Event(), threading.Event()

    def look_up(host: str) -> list[str]:
        release.wait(DEADLINE)
        ended.set()
        return [host]

    monkeypatch.setattr(resolver, "look_up", look_up)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(make_resolver().addresses_of("slow"))
        await asyncio.sleep(0)
        task.cancel()
    release.set()
    await until(ended.is_set)
    assert await make_resolver().addresses_of("fine") == ["fine"]


async def test_a_client_that_comes_again_and_again_cannot_start_lookups_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release, started = threading.Event(), threading.Semaphore(0)

    def look_up(host: str) -> list[str]:
        started.release()
        release.wait(DEADLINE)
        return [host]

    monkeypatch.setattr(resolver, "look_up", look_up)
    budget = SharedBudget(6, "name lookups")
    for _ in range(3):  # each leaves before its lookup ends
        async with asyncio.TaskGroup() as tasks:
            lookup = tasks.create_task(make_resolver(budget).addresses_of("slow"))
            await until(lambda: started.acquire(blocking=False))
            lookup.cancel()

    with pytest.raises(ConnectError, match="this key has used its share of") as refused:
        await make_resolver(budget).addresses_of("slow")
    assert refused.value.reason is Reason.RESOURCE_SHORTAGE
    async with asyncio.TaskGroup() as tasks:
        other = tasks.create_task(make_resolver(budget, key=2).addresses_of("other"))
        await until(lambda: started.acquire(blocking=False))
        release.set()
    assert other.result() == ["other"]
    await until(lambda: budget.taken == 0)
