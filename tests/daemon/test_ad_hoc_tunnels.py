"""Ad-hoc tunnels: opened by a request, in no config file, and forgotten at their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.daemon.harness import SupervisorHarness, supervisor_harness
from tests.e2e.ports import free_port
from tests.fake_clock import settle, until
from tests.tunnel.harness import is_bound
from tunnelkeeper.control.api import (
    ConfigRejectedError,
    NoSuchTunnelError,
    RequestFailedError,
    TunnelRefusedError,
)
from tunnelkeeper.control.file_claim import FileClaimedError
from tunnelkeeper.control.payloads import OpenParams, RemovedEvent, TunnelEvent
from tunnelkeeper.core.message import Message
from tunnelkeeper.daemon import ad_hoc_tunnels
from tunnelkeeper.daemon import supervisor as supervisor_module

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.tunnel.fake_ssh import FakeConnection
    from tunnelkeeper.control.payloads import Event

DB = '[tunnels.db]\nhost = "elsewhere"\nremote = "2201:localhost:22"\n'
TABLE: dict[str, object] = {"host": "relay", "remote": ["2202:localhost:22"]}
IN_FILE = '[tunnels.relay]\nhost = "relay"\nremote = ["2202:localhost:22"]\n'


async def open_tunnel(
    harness: SupervisorHarness, name: str | None = None, for_seconds: float | None = None
) -> tuple[str, Callable[[], None]]:
    opened, end = await harness.supervisor.open(OpenParams(TABLE, name, for_seconds))
    return opened.name, end


async def open_and_connect(
    harness: SupervisorHarness, for_seconds: float | None = None
) -> tuple[FakeConnection, Callable[[], None]]:
    name, end = await open_tunnel(harness, for_seconds=for_seconds)
    connection = (await harness.next_attempt("relay")).succeed()
    await harness.wait_for_state(name, "up")
    return connection, end


def is_gone(harness: SupervisorHarness, name: str = "relay") -> bool:
    return name not in harness.states()


async def test_an_opened_tunnel_connects_and_is_shown_after_those_of_the_file(
    tmp_path: Path,
) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        await open_and_connect(harness)

        assert harness.states() == {"db": "stopped", "relay": "up"}
        assert harness.tunnel("relay").ad_hoc
        assert harness.tunnel("relay").ends_at is None
        assert not harness.tunnel("db").ad_hoc
        assert harness.supervisor.table("relay") == TABLE
        with pytest.raises(NoSuchTunnelError):
            harness.supervisor.table("db")


async def test_a_name_is_made_from_the_host_and_never_taken(tmp_path: Path) -> None:
    file = DB.replace("tunnels.db", "tunnels.relay")
    async with supervisor_harness(tmp_path, file) as harness:
        table: dict[str, object] = {"host": "me@relay.example.com:2222", "remote": "1:b:1"}
        opened, _ = await harness.supervisor.open(OpenParams(table))
        again, _ = await harness.supervisor.open(OpenParams(table))

        assert [opened.name, again.name] == ["relay-2", "relay-3"]


@pytest.mark.parametrize("name", ["db", "relay"])
async def test_a_name_that_is_taken_is_refused(tmp_path: Path, name: str) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        await open_tunnel(harness)

        with pytest.raises(TunnelRefusedError) as refused:
            await open_tunnel(harness, name)
        problem = Message(
            f"there is a tunnel {name} already", "choose another name with --name NAME"
        )
        assert refused.value.problems == (problem,)


async def test_the_tables_of_the_file_apply_as_to_a_tunnel_in_it(tmp_path: Path) -> None:
    file = '[hosts.inner]\njump = ["bastion"]\n'
    async with supervisor_harness(tmp_path, file) as harness:
        await harness.supervisor.open(OpenParams({"host": "inner", "remote": "2202:localhost:22"}))

        attempt = await harness.next_attempt("inner")
        assert [host.name for host in attempt.host_chain] == ["bastion", "inner"]
        runner = harness.supervisor._registry.runner("inner")
        assert runner.tunnel.backoff.initial == 2


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"host": "relay", "local": "5432:b:1"}, "local: listens on localhost:5432, where "),
        ({"host": "relay", "lcoal": "1:b:1"}, "lcoal: unknown key\n  hint: did you mean 'local'?"),
        ({"local": "1:b:1"}, "'host' is missing"),
        ({"host": "relay", "local": ["1:b:1", "1:c:1"]}, "local[1]: listens on localhost:1"),
    ],
)
async def test_a_bad_table_is_refused_as_the_config_check_does(
    tmp_path: Path, table: dict[str, object], problem: str
) -> None:
    file = '[tunnels.db]\nhost = "elsewhere"\nlocal = "5432:b:1"\n'
    async with supervisor_harness(tmp_path, file) as harness:
        with pytest.raises(TunnelRefusedError) as refused:
            await harness.supervisor.open(OpenParams(table))

        assert str(refused.value.problems[0]).startswith(problem)
        assert harness.states() == {"db": "stopped"}


async def test_the_number_of_tunnels_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ad_hoc_tunnels, "MAX_TUNNELS", 1)
    async with supervisor_harness(tmp_path, DB) as harness:
        await open_tunnel(harness)

        with pytest.raises(RequestFailedError, match="1 ad-hoc tunnels are open"):
            await open_tunnel(harness)


async def test_at_its_end_nothing_of_it_stays(tmp_path: Path) -> None:
    port = free_port()
    events: list[Event] = []
    async with supervisor_harness(tmp_path, DB) as harness:
        harness.supervisor.subscribe(events.append)
        opened, end = await harness.supervisor.open(
            OpenParams({"host": "relay", "local": f"{port}:b:1"})
        )
        connection = (await harness.next_attempt("relay")).succeed()
        await harness.wait_for_state("relay", "up")
        assert is_bound(port)

        end()
        await until(lambda: is_gone(harness))
        await until(lambda: connection.is_closed)
        await settle()

        assert not is_bound(port)
        appeared = [event.tunnel.name for event in events if isinstance(event, TunnelEvent)]
        assert opened.name in appeared
        assert RemovedEvent("relay") in events
        with pytest.raises(NoSuchTunnelError):
            harness.supervisor.logs("relay", 10)
        records = harness.supervisor.logs(None, 100)
        assert [record for record in records if record.tunnel == "relay"] == []
        assert records[-1].message == "the tunnel relay has ended: its command has ended"


async def test_a_tunnel_ends_when_its_time_has_passed(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        await open_and_connect(harness, for_seconds=7200)
        assert harness.tunnel("relay").ends_at == "2026-11-22T14:00:00Z"

        await harness.clock.advance(7199)
        assert not is_gone(harness)
        await harness.clock.advance(1)
        await until(lambda: is_gone(harness))

        assert "the tunnel relay has ended: its time has passed" in harness.log.getvalue()


async def test_the_time_of_a_suspended_machine_counts(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        await open_and_connect(harness, for_seconds=7200)

        harness.clock.suspended += 3600
        harness.supervisor.network_changed(None)
        assert harness.tunnel("relay").ends_at == "2026-11-22T14:00:00Z"
        await harness.clock.advance(3600)
        await until(lambda: is_gone(harness))


async def test_stop_ends_a_tunnel_and_its_name_and_port_are_free_then(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        await open_and_connect(harness)

        assert await harness.supervisor.stop(["relay"], None) == ["relay"]
        assert is_gone(harness)
        name, _ = await open_tunnel(harness)
        assert name == "relay"


async def test_the_end_of_a_command_does_not_end_a_later_tunnel_of_its_name(
    tmp_path: Path,
) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        _, end = await open_and_connect(harness)
        end()
        end()
        await harness.supervisor.stop(["relay"], None)
        await open_and_connect(harness)

        end()
        await settle()
        assert harness.states()["relay"] == "up"


async def test_restart_reconnects_an_ad_hoc_tunnel(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        await open_and_connect(harness)

        assert await harness.supervisor.restart(["relay"], None) == ["relay"]
        (await harness.next_attempt("relay")).succeed()
        await harness.wait_for_state("relay", "up")
        assert harness.tunnel("relay").restarts == 1


async def test_starting_every_tunnel_does_not_name_ad_hoc_ones(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        await open_tunnel(harness)
        assert await harness.supervisor.start([], None) == ["db"]


async def test_a_reload_leaves_ad_hoc_tunnels_alone(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        connection, _ = await open_and_connect(harness)
        harness.write(DB.replace("tunnels.db", "tunnels.web"))

        assert await harness.supervisor.reload() == ["db: removed", "web: added"]
        assert [*harness.states()] == ["web", "relay"]
        assert harness.tunnel("relay").ad_hoc
        assert connection in harness.pool.open_connections


async def test_the_file_takes_over_a_tunnel_of_the_same_settings_without_a_reconnection(
    tmp_path: Path,
) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        connection, end = await open_and_connect(harness, for_seconds=60)
        harness.write(IN_FILE + DB)

        changes = await harness.supervisor.reload()
        assert changes == ["relay: in the config file now, its connection stays"]
        end()
        await harness.clock.advance(120)

        assert [*harness.states()] == ["relay", "db"]
        assert harness.states()["relay"] == "up"
        assert not harness.tunnel("relay").ad_hoc
        assert harness.tunnel("relay").restarts == 0
        assert connection in harness.pool.open_connections


async def test_a_file_with_the_name_of_an_ad_hoc_tunnel_and_other_settings_is_refused(
    tmp_path: Path,
) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        await open_and_connect(harness)
        harness.write(IN_FILE.replace("2202", "2203"))

        with pytest.raises(ConfigRejectedError) as rejected:
            await harness.supervisor.reload()

        [problem] = rejected.value.problems
        assert "tunnels.relay: an ad-hoc tunnel of this name is open" in problem.text
        assert problem.hint == "tunnelkeeper stop relay"
        assert [*harness.states()] == ["db", "relay"]
        await harness.supervisor.stop(["relay"], None)
        assert await harness.supervisor.reload() == ["db: removed", "relay: added"]


async def test_a_reload_warns_of_a_listener_that_an_ad_hoc_tunnel_has(tmp_path: Path) -> None:
    port = free_port()
    async with supervisor_harness(tmp_path, DB) as harness:
        await harness.supervisor.open(OpenParams({"host": "relay", "local": f"{port}:b:1"}))
        harness.write(f'[tunnels.web]\nhost = "elsewhere"\nlocal = "{port}:b:1"\n')

        await harness.supervisor.reload()

        expected = f"tunnels.web.local: listens on localhost:{port}, where tunnels.relay.local"
        assert expected in harness.log.getvalue()
        assert [*harness.states()] == ["web", "relay"]


async def test_a_supervisor_without_use_ends_with_its_last_ad_hoc_tunnel(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        supervisor = harness.supervisor
        supervisor.end_when_unused()
        await supervisor.start(["db"], None)
        await open_and_connect(harness)
        await supervisor.stop(["relay"], None)
        await harness.clock.advance(10)
        assert not supervisor.stopping.is_set()

        await open_and_connect(harness)
        await supervisor.stop(["db"], None)
        await harness.clock.advance(10)
        assert not supervisor.stopping.is_set()
        await supervisor.stop(["relay"], None)
        assert not supervisor.stopping.is_set()
        await harness.clock.advance(10)
        assert supervisor.stopping.is_set()
        await harness.clock.advance(supervisor_module.OPEN_TIMEOUT)


async def test_a_command_that_ends_with_its_supervisor_does_not_keep_it_from_ending(
    tmp_path: Path,
) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        _, end = await open_and_connect(harness)
        await harness.supervisor.close()

        end()


async def test_a_supervisor_that_ends_opens_no_tunnel(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        await harness.supervisor.close()

        with pytest.raises(RequestFailedError, match="the supervisor is ending"):
            await open_tunnel(harness)


async def test_a_reload_after_the_close_leaves_no_runner(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        await harness.supervisor.close()
        harness.write(IN_FILE + DB)

        await harness.supervisor.reload()

        await until(lambda: not harness.supervisor._registry._runner_tasks)


async def test_a_supervisor_ends_whose_command_has_opened_no_tunnel(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        harness.supervisor.end_when_unused()

        await harness.clock.advance(supervisor_module.OPEN_TIMEOUT - 1)
        assert not harness.supervisor.stopping.is_set()
        await harness.clock.advance(1)
        assert harness.supervisor.stopping.is_set()


async def test_a_tunnel_that_another_supervisor_holds_is_not_taken_over_after_a_signal(
    tmp_path: Path,
) -> None:
    def refuse(names: list[str]) -> None:
        if names:
            raise FileClaimedError("the tunnel 'relay' is held by another supervisor")

    async with supervisor_harness(tmp_path, DB) as harness:
        await open_and_connect(harness)
        harness.supervisor._registry.claim = refuse
        harness.write(IN_FILE + DB)

        await harness.supervisor.reload_and_log_errors()

        assert "error   the tunnel 'relay' is held by" in harness.log.getvalue()
        assert harness.tunnel("relay").ad_hoc
