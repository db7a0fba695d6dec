"""A client cannot get connections that others mean for a host or for another client's name."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.forwarding.services import echo, service
from tests.relay.in_process_relay import LOOPBACK, USER, InProcessRelay, new_key, serve_relay
from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.relay import host_names, live_access
from tunnelkeeper.relay.name_rules import OWN_USER
from tunnelkeeper.relay.permits import ANYTHING, HostPermit, NamesPermit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HOSTS = {"intranet": ["192.0.2.80"], "db": ["127.0.0.1"], "relay": ["203.0.113.1"]}


def look_up(name: str) -> list[str]:
    return HOSTS.get(name, [])


@pytest.fixture
async def strict_relay(tmp_path: Path) -> AsyncIterator[InProcessRelay]:
    """Serve a relay that grants names by its default rule; permit_open names the host db."""
    permits = (ANYTHING, HostPermit("db", 5432))
    async with serve_relay(tmp_path, names=OWN_USER, permit_open=permits, hosts=look_up) as relay:
        yield relay


async def is_refused(client: asyncssh.SSHClientConnection, name: str, port: int = 22) -> bool:
    """Try to listen on a name; return whether that failed."""
    try:
        await client.forward_remote_port(name, port, LOOPBACK, 9)
    except asyncssh.ChannelListenError:
        return True
    return False


async def test_a_key_gets_no_name_but_that_of_its_user(strict_relay: InProcessRelay) -> None:
    async with strict_relay.client(user="mallory") as attacker:
        for name in ("box17", "ann", "mallory2", "m", "home"):
            assert await is_refused(attacker, name), name
        assert not await is_refused(attacker, "Mallory")
        assert strict_relay.bound_targets == ["mallory:22"]


async def test_a_name_of_another_key_is_not_taken(strict_relay: InProcessRelay) -> None:
    other = new_key()
    strict_relay.authorize(other)
    async with strict_relay.client(user="box17") as box, service(echo) as port:
        await box.forward_remote_port("box17", 22, LOOPBACK, port)
        async with strict_relay.client(other, user="box17") as attacker:
            assert await is_refused(attacker, "box17")
            _, writer = await attacker.open_connection("box17", 22)
            writer.close()


@pytest.mark.parametrize("user", ["db", "DB", "intranet", "relay"])
async def test_a_user_named_like_a_host_does_not_get_its_connections(
    strict_relay: InProcessRelay, user: str
) -> None:
    granted = new_key()
    strict_relay.authorize(granted, f'permitlisten="{user}:*"')
    for key in (strict_relay.key, granted):
        async with strict_relay.client(key, user=user) as attacker:
            for port in (22, 5432):
                assert await is_refused(attacker, user, port)


@pytest.mark.parametrize(
    "name",
    [
        *("localhost", "LOCALHOST", "Localhost", "localhost4", "localhost6", "ip6-localhost"),
        *("ip6-loopback", "127.0.0.1", "::1", "0x7f000001", "2130706433", "0", "*", ""),
        *("localhost.", "localhost.localdomain", "db.example.com", "db.", "intranet."),
    ],
)
async def test_no_spelling_of_a_host_becomes_a_name(tmp_path: Path, name: str) -> None:
    async with serve_relay(tmp_path, hosts=look_up) as relay, relay.client() as attacker:
        await is_refused(attacker, name, 8022)
        bound = {binding.kind for client in relay.clients for binding in client.holds}
        assert bound <= {"port"}


@pytest.mark.parametrize(
    "name",
    [
        "bоx17",  # noqa: RUF001  with a Cyrillic o
        "box17\u200b",
        "ｂox17",  # noqa: RUF001
        "xn--bx17-xye",
        "box17\0",
        "box17 ",
        "-box17",
    ],
)
async def test_a_name_that_only_looks_like_another_is_not_bound(tmp_path: Path, name: str) -> None:
    async with serve_relay(tmp_path) as relay, relay.client() as attacker:
        await is_refused(attacker, name)
        assert [binding for binding in relay.bound_targets if not binding.startswith("local")] == []


async def test_a_name_that_is_away_is_never_looked_up(strict_relay: InProcessRelay) -> None:
    """The name resolves here, so that a lookup would connect to the attacker's host."""
    async with service(echo) as port, strict_relay.client(user="ann") as visitor:
        for name in ("box17", "vm", "intranet"):
            with pytest.raises(asyncssh.ChannelOpenError) as refused:
                await visitor.open_connection(name, port)
            assert refused.value.reason.startswith(f"{name}:{port} is not connected (never seen")


async def test_a_visitor_reads_when_a_box_was_last_seen(strict_relay: InProcessRelay) -> None:
    async with strict_relay.client(user="ann") as visitor:
        async with strict_relay.client(user="box17") as box:
            await box.forward_remote_port("box17", 22, LOOPBACK, 9)
        await until(lambda: not strict_relay.bound_targets)

        with pytest.raises(asyncssh.ChannelOpenError) as refused:
            await visitor.open_connection("BOX17", 22)
        [left] = strict_relay.server.status().left

        assert refused.value.code == asyncssh.OPEN_CONNECT_FAILED
        assert refused.value.reason.startswith("box17:22 is not connected (last seen 2")
        assert refused.value.reason.endswith(" s ago)")
        assert (left.kind, left.listen, left.user) == ("name", "box17:22", "box17")

        async with strict_relay.client(user="box17") as box:
            await box.forward_remote_port("box17", 22, LOOPBACK, 9)
            assert strict_relay.server.status().left == []


async def test_a_key_that_may_not_open_a_name_does_not_learn_about_it(
    strict_relay: InProcessRelay,
) -> None:
    key = new_key()
    strict_relay.authorize(key, 'permitopen="box18:22"')
    async with strict_relay.client(key) as visitor:
        with pytest.raises(asyncssh.ChannelOpenError, match="is not permitted"):
            await visitor.open_connection("box17", 22)


async def test_a_host_that_permit_open_names_is_opened_and_no_name(tmp_path: Path) -> None:
    permits = (ANYTHING, HostPermit("localhost", None), HostPermit("vm", None))
    async with (
        service(echo) as port,
        serve_relay(tmp_path, permit_open=permits) as relay,
        relay.client() as client,
    ):
        assert await is_refused(client, "vm", port)
        _, writer = await client.open_connection("localhost", port)
        writer.close()


async def test_a_relay_can_open_names_only(tmp_path: Path) -> None:
    async with (
        service(echo) as port,
        serve_relay(tmp_path, permit_open=(NamesPermit(),)) as relay,
        relay.client() as client,
    ):
        await client.forward_remote_port("home", 22, LOOPBACK, port)
        _, writer = await client.open_connection("home", 22)
        writer.close()
        for host in ("192.0.2.1", "db.example.com", "localhost"):
            with pytest.raises(asyncssh.ChannelOpenError, match="is not permitted"):
                await client.open_connection(host, port)


async def test_a_reload_ends_the_connection_of_a_name_that_is_no_longer_granted(
    tmp_path: Path,
) -> None:
    async with (
        serve_relay(tmp_path) as relay,
        relay.client(user="mallory") as attacker,
        relay.client(user="box17") as box,
    ):
        await attacker.forward_remote_port("db", 22, LOOPBACK, 9)
        await box.forward_remote_port("box17", 22, LOOPBACK, 9)
        relay.server.reconfigure(replace(relay.configuration, names=OWN_USER))
        [change] = await relay.server.revalidate()

        assert change.startswith("disconnected mallory@127.0.0.1:")
        assert "the name db is not granted to mallory" in change
        await until(lambda: relay.bound_targets == ["box17:22"])


async def test_a_reload_without_names_ends_the_connections_that_hold_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_access, "SENTENCES", 1)
    key = new_key()
    async with serve_relay(tmp_path) as relay:
        relay.authorize(key, 'permitlisten="home:22",permitlisten="away:22"')
        async with relay.client(key) as first, relay.client(key, "other") as second:
            assert not await is_refused(first, "home")
            assert not await is_refused(second, "away")
            changes = await relay.reload(names=())

        assert changes[-2].startswith(f"disconnected {USER}@{LOOPBACK}:")
        assert changes[-2].endswith("home is a host, because names = false in relay.toml")
        assert changes[-1] == "and 1 more, which are in the log"


async def test_a_reload_during_the_lookup_of_a_name_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_names, "LOOKUP_TIMEOUT", DEADLINE)
    looked_up, answered = threading.Event(), threading.Event()

    def look_up(_name: str) -> list[str]:
        looked_up.set()
        answered.wait(DEADLINE)
        return []

    async with (
        serve_relay(tmp_path, hosts=look_up) as relay,
        relay.client() as client,
        asyncio.TaskGroup() as tasks,
    ):
        request = tasks.create_task(is_refused(client, "db"))
        try:
            await until(looked_up.is_set)
            await relay.reload(names=OWN_USER)
        finally:
            answered.set()

        assert await request
        assert relay.bound_targets == []
