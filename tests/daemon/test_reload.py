"""Reloads: only what changed in the config file is changed."""

from __future__ import annotations

import asyncio
from errno import EAGAIN
from typing import TYPE_CHECKING

import pytest

from tests.daemon.harness import HEAD, SupervisorHarness, supervisor_harness
from tests.e2e.ports import free_port
from tests.fake_clock import settle, until
from tests.tunnel.fake_ssh import DENIED, REFUSED
from tests.tunnel.harness import is_bound
from tunnelkeeper.control.api import ConfigRejectedError, NoSuchTunnelError
from tunnelkeeper.control.payloads import LogEvent, RemovedEvent, TunnelEvent
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.sshconfig import SshConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.control.payloads import Event
    from tunnelkeeper.core.failures import Failure

DB = '[tunnels.db]\nhost = "relay"\nremote = "2201:localhost:22"\n'
WEB = '[tunnels.web]\nhost = "elsewhere"\nremote = "2202:localhost:22"\n'
BEHIND = '[tunnels.db]\nhost = "relay"\njump = "bastion"\nremote = "2201:localhost:22"\n'


def session_of(harness: SupervisorHarness, name: str) -> object:
    return harness.supervisor._registry.runner(name).session


async def test_an_unchanged_file_changes_nothing(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB + WEB) as harness:
        connection = await harness.start_and_connect("db", "relay")
        session = session_of(harness, "db")

        assert await harness.supervisor.reload() == []
        await settle()

        assert session_of(harness, "db") is session
        assert harness.pool.open_connections == [connection]
        assert harness.states() == {"db": "up", "web": "stopped"}
        assert "reloaded: nothing changed" in harness.log.getvalue()


async def test_a_file_that_others_can_write_is_not_read_again(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        harness.write(DB + WEB)
        harness.file.chmod(0o666)

        with pytest.raises(ConfigRejectedError) as rejected:
            await harness.supervisor.reload()

        assert "can be written by others (mode 0666)" in rejected.value.problems[0].text
        assert harness.states() == {"db": "stopped"}


async def test_a_new_tunnel_is_not_started_if_only_some_were_requested(
    tmp_path: Path,
) -> None:
    async with supervisor_harness(tmp_path, DB, start_added=False) as harness:
        await harness.start_and_connect("db", "relay")
        harness.write(DB + WEB)

        assert await harness.supervisor.reload() == ["web: added"]
        await settle()

        assert harness.states() == {"db": "up", "web": "stopped"}


async def test_a_new_tunnel_with_autostart_is_started(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        connection = await harness.start_and_connect("db", "relay")
        session = session_of(harness, "db")
        spare = '[tunnels.spare]\nhost = "far"\nautostart = false\nremote = "1:localhost:22"\n'
        harness.write(spare + WEB + DB)

        assert await harness.supervisor.reload() == ["spare: added", "web: added"]

        await harness.next_attempt("elsewhere")
        assert list(harness.states().items()) == [
            ("spare", "stopped"),
            ("web", "connecting"),
            ("db", "up"),
        ]
        assert session_of(harness, "db") is session
        assert harness.pool.open_connections == [connection]


async def test_a_removed_tunnel_is_closed_and_forgotten(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB + WEB) as harness:
        events: list[Event] = []
        await harness.start_and_connect("db", "relay")
        harness.supervisor.subscribe(events.append)
        harness.write(WEB)

        assert await harness.supervisor.reload() == ["db: removed"]
        await settle()

        assert harness.states() == {"web": "stopped"}
        assert harness.pool.open_connections == []
        assert harness.pool.listening == []
        with pytest.raises(NoSuchTunnelError):
            harness.supervisor.logs("db", 10)
        assert all(record.tunnel != "db" for record in harness.supervisor.logs(None, 100))
        assert RemovedEvent("db") in events
        after = events[events.index(RemovedEvent("db")) :]
        assert not any(isinstance(event, TunnelEvent) for event in after)


@pytest.mark.parametrize("failure", [REFUSED, DENIED], ids=["backoff", "blocked"])
async def test_a_waiting_tunnel_can_be_removed(tmp_path: Path, failure: Failure) -> None:
    port = free_port()
    text = f'[tunnels.db]\nhost = "relay"\nlocal = "{port}:db:5432"\n'
    async with supervisor_harness(tmp_path, text + WEB) as harness:
        await harness.supervisor.start(["db"], None)
        (await harness.next_attempt("relay")).fail(failure)
        await settle()
        assert is_bound(port)
        harness.write(WEB)

        assert await harness.supervisor.reload() == ["db: removed"]

        assert not is_bound(port)


@pytest.mark.parametrize("turns", range(12))
async def test_a_tunnel_that_is_coming_up_can_be_removed(
    tmp_path: Path, turns: int, caplog: pytest.LogCaptureFixture
) -> None:
    """After one of these numbers of iterations, the event that it is up is queued."""
    async with supervisor_harness(tmp_path, DB + WEB) as harness:
        await harness.supervisor.start(["db"], None)
        attempt = await harness.next_attempt("relay")
        harness.write(WEB)

        attempt.succeed()
        await settle(turns)
        await harness.supervisor.reload()

        assert harness.states() == {"web": "stopped"}
        assert caplog.text == ""


async def test_forwards_are_changed_on_the_open_connection(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        connection = await harness.start_and_connect("db", "relay")
        session = session_of(harness, "db")
        harness.write(DB.replace("2201", "2299"))

        [change] = await harness.supervisor.reload()
        assert change.startswith("db: forwards +localhost:2299:localhost:22, -localhost:2201:")
        await until(lambda: harness.pool.listening == [TcpAddress("localhost", 2299)])

        assert session_of(harness, "db") is session
        assert harness.pool.open_connections == [connection]
        assert harness.tunnel("db").state == "up"


async def test_policies_are_changed_on_the_open_connection(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        await harness.start_and_connect("db", "relay")
        session = session_of(harness, "db")
        harness.write(DB + "max_lifetime = 60\n")

        assert await harness.supervisor.reload() == ["db: settings changed on the live connection"]
        await settle()

        assert session_of(harness, "db") is session


async def test_a_tunnel_with_a_new_host_reconnects(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB + WEB) as harness:
        connection = await harness.start_and_connect("db", "relay")
        other = await harness.start_and_connect("web", "elsewhere")
        harness.write(DB.replace("relay", "other") + WEB)

        assert await harness.supervisor.reload() == ["db: host changed, reconnecting"]

        (await harness.next_attempt("other")).succeed()
        await harness.wait_for_state("db", "up")
        assert connection.is_closed
        assert not other.is_closed


async def test_a_stopped_tunnel_with_a_new_host_stays_stopped(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        harness.write(DB.replace("relay", "other"))
        await harness.supervisor.reload()
        await settle()
        assert harness.tunnel("db").state == "stopped"
        assert harness.tunnel("db").host == "other"

        await harness.start_and_connect("db", "other")


async def test_a_changed_jump_host_reconnects_the_tunnel(tmp_path: Path) -> None:
    async with supervisor_harness(
        tmp_path, BEHIND + '[hosts.bastion]\nhostname = "old"\n'
    ) as harness:
        connection = await harness.start_and_connect("db", "relay")
        harness.write(BEHIND + '[hosts.bastion]\nhostname = "new"\n')

        assert await harness.supervisor.reload() == ["db: host changed, reconnecting"]

        attempt = await harness.next_attempt("relay")
        assert connection.is_closed
        assert [str(host) for host in attempt.host_chain] == ["me@new:22", "me@relay:22"]


async def test_a_changed_jump_host_restarts_a_connecting_tunnel(
    tmp_path: Path,
) -> None:
    async with supervisor_harness(
        tmp_path, BEHIND + '[hosts.bastion]\nhostname = "old"\n'
    ) as harness:
        await harness.supervisor.start(["db"], None)
        old = await harness.next_attempt("relay")
        harness.write(BEHIND + '[hosts.bastion]\nhostname = "new"\n')

        await harness.supervisor.reload()
        await until(lambda: not old.is_pending)

        attempt = await harness.next_attempt("relay")
        assert str(attempt.host_chain[0]) == "me@new:22"


async def test_a_slow_lookup_delays_the_reload_of_no_other_tunnel(tmp_path: Path) -> None:
    moved = BEHIND.replace("db", "web").replace("2201", "2202")
    bastion = '[hosts.bastion]\nhostname = "{}"\n'
    async with supervisor_harness(tmp_path, DB + moved + bastion.format("old")) as harness:
        await harness.start_and_connect("db", "relay")
        await harness.supervisor.start(["web"], None)
        (await harness.next_attempt("relay")).succeed()
        await harness.wait_for_state("web", "up")
        harness.slow["db"] = asyncio.Event()
        spare = '[tunnels.spare]\nhost = "far"\nremote = "1:localhost:22"\n'
        harness.write(DB + moved + bastion.format("new") + spare)

        reload = harness.tasks.create_task(harness.supervisor.reload())
        await harness.next_attempt("far")
        assert str((await harness.next_attempt("relay")).host_chain[0]) == "me@new:22"
        assert not reload.done()
        harness.slow.pop("db").set()

        assert await reload == ["web: host changed, reconnecting", "spare: added"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SshConfigError("line 3:\nbad configuration option"), r"line 3:\nbad configuration option"),
        (OSError(EAGAIN, "Resource temporarily unavailable"), "Resource temporarily unavailable"),
    ],
    ids=["ssh_config", "no process"],
)
async def test_unresolvable_hosts_leave_the_connection_alone(
    tmp_path: Path, error: Exception, text: str
) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        connection = await harness.start_and_connect("db", "relay")
        harness.errors["db"] = error

        assert await harness.supervisor.reload() == []

        assert harness.pool.open_connections == [connection]
        assert f"warning db: ssh_config: {text}" in harness.log.getvalue()


@pytest.mark.parametrize("change", ["", "gate_time = 5\n"], ids=["unchanged", "adjusted"])
async def test_a_reload_retries_a_blocked_tunnel_at_once(tmp_path: Path, change: str) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        await harness.supervisor.start(["db"], None)
        (await harness.next_attempt("relay")).fail(DENIED)
        await harness.wait_for_state("db", "blocked")
        harness.write(DB + change)

        await harness.supervisor.reload()

        await harness.next_attempt("relay")


async def test_a_bad_file_changes_nothing(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        await harness.start_and_connect("db", "relay")
        session = session_of(harness, "db")
        harness.write('[tunnels.web]\nhots = "elsewhere"\n')

        with pytest.raises(ConfigRejectedError) as caught:
            await harness.supervisor.reload()

        assert any("'host'" in str(problem) for problem in caught.value.problems)
        assert harness.states() == {"db": "up"}
        assert session_of(harness, "db") is session
        harness.write(DB)
        assert await harness.supervisor.reload() == []


async def test_a_reload_by_signal_logs_its_result(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        harness.write('[tunnels.web]\nhots = "elsewhere"\n')
        await harness.supervisor.reload_and_log_errors()

        assert f"error   {harness.file}:" in harness.log.getvalue()
        assert "the config file has problems; nothing was changed" in harness.log.getvalue()

        harness.write(DB + WEB)
        await harness.supervisor.reload_and_log_errors()

        assert "reloaded: web: added" in harness.log.getvalue()


async def test_a_reload_applies_log_level_and_format(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        events: list[Event] = []
        harness.supervisor.subscribe(events.append)
        head = HEAD.replace('"debug"', '"warning"\nlog_format = "json"')
        insecure = 'host_key_policy = "no"\n'

        harness.file.write_text(head + DB + insecure)
        before = harness.log.getvalue()
        await harness.supervisor.reload()
        await harness.supervisor.start(["db"], None)
        (await harness.next_attempt("relay")).fail(DENIED)
        await harness.wait_for_state("db", "blocked")

        lines = harness.log.getvalue()[len(before) :].splitlines()
        assert [line[:1] for line in lines[-1:]] == ["{"]
        assert not any('"info"' in line for line in lines)
        assert any(isinstance(event, LogEvent) for event in events)


async def test_concurrent_reloads_are_serialized(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, DB) as harness:
        await harness.start_and_connect("db", "relay")
        harness.write(DB + WEB)

        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(harness.supervisor.reload())
            second = tasks.create_task(harness.supervisor.reload())

        assert (first.result(), second.result()) == (["web: added"], [])
