"""Forwards of a running tunnel whose socket paths wait for the lookup of the host."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.fake_clock import settle, until
from tests.tunnel.fake_ssh import LOST, make_host
from tests.tunnel.harness import (
    RunnerHarness,
    make_tunnel,
    runner_harness,
    snapshot_of,
    wait_for_state,
)
from tunnelkeeper.core.forward_spec import UnixAddress
from tunnelkeeper.core.lifecycle import RestartGracefully, RetryNow, Start, Stop
from tunnelkeeper.sshconfig import gather_facts

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.core.configuration import Host


def host_on_port(number: int) -> Host:
    """Return a host with the tokens that a lookup defines."""
    tokens = dict.fromkeys("Chjknr", "") | {"p": str(number)}
    return replace(make_host(), ports=(number,), tokens=tokens)


def set_port(harness: RunnerHarness, number: int) -> None:
    harness.context.facts = gather_facts()
    harness.host_resolver.chains["db"] = (host_on_port(number),)


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_path_with_a_token_of_the_host_is_bound_after_the_lookup(tmp_path: Path) -> None:
    tunnel = make_tunnel(local=[f"{tmp_path}/%p:db:1", f"{tmp_path}/%u-%n:db:1"])
    async with runner_harness() as harness:
        set_port(harness, 2200)
        harness.host_resolver.may_resolve.clear()
        runner = harness.runner(tunnel)
        runner.send(Start())
        early = tmp_path / f"{gather_facts().user}-relay"
        await until(early.is_socket)
        assert [f.state for f in snapshot_of(runner).forwards] == ["pending", "listening"]

        harness.host_resolver.may_resolve.set()
        attempt = await harness.next_attempt()

        assert (tmp_path / "2200").is_socket(), "it is bound before the connection is made"
        attempt.succeed()
        await wait_for_state(runner, "up")
        assert snapshot_of(runner).forwards[0].listen == f"{tmp_path}/2200"
        runner.send(Stop())
        await wait_for_state(runner, "stopped")
        assert files_in(tmp_path) == []


async def test_a_changed_token_moves_the_socket_at_the_next_lookup(tmp_path: Path) -> None:
    async with runner_harness() as harness:
        set_port(harness, 2200)
        runner, connection = await harness.connect(make_tunnel(local=[f"{tmp_path}/%p:db:1"]))

        set_port(harness, 2201)
        connection.lose(LOST)
        await wait_for_state(runner, "backoff")
        runner.send(RetryNow())
        (await harness.next_attempt()).succeed()
        await wait_for_state(runner, "up")

        assert files_in(tmp_path) == ["2201"]


async def test_the_server_gets_an_expanded_path(tmp_path: Path) -> None:
    async with runner_harness() as harness:
        set_port(harness, 2200)
        runner, _ = await harness.connect(make_tunnel(remote=["/srv/%p.sock:/run/%u.sock"]))

        assert harness.pool.listening == [UnixAddress("/srv/2200.sock")]
        assert snapshot_of(runner).forwards[0].connect == f"/run/{gather_facts().user}.sock"


async def test_a_replacement_moves_the_socket_when_it_takes_over(tmp_path: Path) -> None:
    local, remote = f"{tmp_path}/%p:db:1", "/srv/%p.sock:db:1"
    async with runner_harness() as harness:
        set_port(harness, 2200)
        runner, _ = await harness.connect(make_tunnel(local=[local], remote=[remote]))

        set_port(harness, 2201)
        runner.send(RestartGracefully())
        attempt = await harness.next_attempt()
        assert files_in(tmp_path) == ["2200"]
        attempt.succeed()
        await until(lambda: harness.pool.listening == [UnixAddress("/srv/2201.sock")])
        await settle()

        assert files_in(tmp_path) == ["2201"]
        assert snapshot_of(runner).state == "up"


async def test_paths_that_ssh_has_expanded_are_literal(tmp_path: Path) -> None:
    async with runner_harness() as harness:
        await harness.connect(make_tunnel(local=[f"{tmp_path}/%p:db:1"]))

        assert (tmp_path / "%p").is_socket()
