"""Reading the config file again: what changed is changed, and nothing else is touched."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.daemon.harness import HEAD, Supervision, supervision
from tests.e2e.ports import free_port
from tests.fake_clock import settled, until
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


def session_of(held: Supervision, name: str) -> object:
    return held.supervisor._registry.runner(name).session


async def test_a_file_that_did_not_change_changes_nothing(tmp_path: Path) -> None:
    async with supervision(tmp_path, DB + WEB) as held:
        connection = await held.up("db", "relay")
        session = session_of(held, "db")

        assert await held.supervisor.reload() == []
        await settled()

        assert session_of(held, "db") is session
        assert held.far.live == [connection]
        assert held.states() == {"db": "up", "web": "stopped"}
        assert "reloaded: nothing changed" in held.log.getvalue()


async def test_where_only_some_were_asked_for_a_new_tunnel_waits_until_it_is(
    tmp_path: Path,
) -> None:
    async with supervision(tmp_path, DB, starts_added=False) as held:
        await held.up("db", "relay")
        held.write(DB + WEB)

        assert await held.supervisor.reload() == ["web: added"]
        await settled()

        assert held.states() == {"db": "up", "web": "stopped"}


async def test_a_new_tunnel_is_started_if_it_is_to_start_by_itself(tmp_path: Path) -> None:
    async with supervision(tmp_path, DB) as held:
        connection = await held.up("db", "relay")
        session = session_of(held, "db")
        spare = '[tunnels.spare]\nhost = "far"\nautostart = false\nremote = "1:localhost:22"\n'
        held.write(spare + WEB + DB)

        assert await held.supervisor.reload() == ["spare: added", "web: added"]

        await held.attempt("elsewhere")
        assert list(held.states().items()) == [
            ("spare", "stopped"),
            ("web", "connecting"),
            ("db", "up"),
        ]
        assert session_of(held, "db") is session
        assert held.far.live == [connection]


async def test_a_tunnel_that_is_gone_is_closed_and_forgotten(tmp_path: Path) -> None:
    async with supervision(tmp_path, DB + WEB) as held:
        events: list[Event] = []
        await held.up("db", "relay")
        held.supervisor.subscribe(events.append)
        held.write(WEB)

        assert await held.supervisor.reload() == ["db: removed"]
        await settled()

        assert held.states() == {"web": "stopped"}
        assert held.far.live == []
        assert held.far.listening == []
        with pytest.raises(NoSuchTunnelError):
            held.supervisor.logs("db", 10)
        assert all(record.tunnel != "db" for record in held.supervisor.logs(None, 100))
        assert RemovedEvent("db") in events
        after = events[events.index(RemovedEvent("db")) :]
        assert not any(isinstance(event, TunnelEvent) for event in after)


@pytest.mark.parametrize("failure", [REFUSED, DENIED], ids=["backoff", "blocked"])
async def test_a_tunnel_that_waits_can_go_too(tmp_path: Path, failure: Failure) -> None:
    port = free_port()
    text = f'[tunnels.db]\nhost = "relay"\nlocal = "{port}:db:5432"\n'
    async with supervision(tmp_path, text + WEB) as held:
        await held.supervisor.start(["db"], None)
        (await held.attempt("relay")).fails(failure)
        await settled()
        assert is_bound(port)
        held.write(WEB)

        assert await held.supervisor.reload() == ["db: removed"]

        assert not is_bound(port)


@pytest.mark.parametrize("turns", range(12))
async def test_a_tunnel_that_just_comes_up_can_go_too(
    tmp_path: Path, turns: int, caplog: pytest.LogCaptureFixture
) -> None:
    """After one of these numbers of turns the news that it is up is on its way."""
    async with supervision(tmp_path, DB + WEB) as held:
        await held.supervisor.start(["db"], None)
        attempt = await held.attempt("relay")
        held.write(WEB)

        attempt.succeeds()
        await settled(turns)
        await held.supervisor.reload()

        assert held.states() == {"web": "stopped"}
        assert caplog.text == ""


async def test_forwards_are_changed_on_the_live_connection(tmp_path: Path) -> None:
    async with supervision(tmp_path, DB) as held:
        connection = await held.up("db", "relay")
        session = session_of(held, "db")
        held.write(DB.replace("2201", "2299"))

        [change] = await held.supervisor.reload()
        assert change.startswith("db: forwards +localhost:2299:localhost:22, -localhost:2201:")
        await until(lambda: held.far.listening == [TcpAddress("localhost", 2299)])

        assert session_of(held, "db") is session
        assert held.far.live == [connection]
        assert held.tunnel("db").state == "up"


async def test_policies_are_changed_on_the_live_connection(tmp_path: Path) -> None:
    async with supervision(tmp_path, DB) as held:
        await held.up("db", "relay")
        session = session_of(held, "db")
        held.write(DB + "max_lifetime = 60\n")

        assert await held.supervisor.reload() == ["db: settings changed on the live connection"]
        await settled()

        assert session_of(held, "db") is session


async def test_a_tunnel_to_another_host_connects_anew(tmp_path: Path) -> None:
    async with supervision(tmp_path, DB + WEB) as held:
        connection = await held.up("db", "relay")
        other = await held.up("web", "elsewhere")
        held.write(DB.replace("relay", "other") + WEB)

        assert await held.supervisor.reload() == ["db: host changed, reconnecting"]

        (await held.attempt("other")).succeeds()
        await held.becomes("db", "up")
        assert connection.is_closed
        assert not other.is_closed


async def test_a_stopped_tunnel_to_another_host_stays_stopped(tmp_path: Path) -> None:
    async with supervision(tmp_path, DB) as held:
        held.write(DB.replace("relay", "other"))
        await held.supervisor.reload()
        await settled()
        assert held.tunnel("db").state == "stopped"
        assert held.tunnel("db").host == "other"

        await held.up("db", "other")


async def test_a_jump_host_that_moved_is_a_changed_way(tmp_path: Path) -> None:
    async with supervision(tmp_path, BEHIND + '[hosts.bastion]\nhostname = "old"\n') as held:
        connection = await held.up("db", "relay")
        held.write(BEHIND + '[hosts.bastion]\nhostname = "new"\n')

        assert await held.supervisor.reload() == ["db: host changed, reconnecting"]

        attempt = await held.attempt("relay")
        assert connection.is_closed
        assert [str(host) for host in attempt.way] == ["me@new:22", "me@relay:22"]


async def test_a_jump_host_that_moved_is_noticed_by_a_tunnel_on_its_way_as_well(
    tmp_path: Path,
) -> None:
    async with supervision(tmp_path, BEHIND + '[hosts.bastion]\nhostname = "old"\n') as held:
        await held.supervisor.start(["db"], None)
        old = await held.attempt("relay")
        held.write(BEHIND + '[hosts.bastion]\nhostname = "new"\n')

        await held.supervisor.reload()
        await until(lambda: not old.is_under_way)

        attempt = await held.attempt("relay")
        assert str(attempt.way[0]) == "me@new:22"


async def test_a_way_that_cannot_be_looked_up_now_leaves_the_connection_alone(
    tmp_path: Path,
) -> None:
    async with supervision(tmp_path, DB) as held:
        connection = await held.up("db", "relay")
        held.errors["db"] = SshConfigError("line 3:\nbad configuration option")

        assert await held.supervisor.reload() == []

        assert held.far.live == [connection]
        assert r"warning db: ssh_config: line 3:\nbad configuration option" in held.log.getvalue()


@pytest.mark.parametrize("change", ["", "gate_time = 5\n"], ids=["unchanged", "adjusted"])
async def test_a_blocked_tunnel_is_tried_at_once(tmp_path: Path, change: str) -> None:
    async with supervision(tmp_path, DB) as held:
        await held.supervisor.start(["db"], None)
        (await held.attempt("relay")).fails(DENIED)
        await held.becomes("db", "blocked")
        held.write(DB + change)

        await held.supervisor.reload()

        await held.attempt("relay")


async def test_a_bad_file_changes_nothing(tmp_path: Path) -> None:
    async with supervision(tmp_path, DB) as held:
        await held.up("db", "relay")
        session = session_of(held, "db")
        held.write('[tunnels.web]\nhots = "elsewhere"\n')

        with pytest.raises(ConfigRejectedError) as caught:
            await held.supervisor.reload()

        assert any("did you mean 'host'?" in problem for problem in caught.value.problems)
        assert held.states() == {"db": "up"}
        assert session_of(held, "db") is session
        held.write(DB)
        assert await held.supervisor.reload() == []


async def test_a_signal_gets_its_answer_in_the_log(tmp_path: Path) -> None:
    async with supervision(tmp_path, DB) as held:
        held.write('[tunnels.web]\nhots = "elsewhere"\n')
        await held.supervisor.reload_and_log_errors()

        assert f"error   {held.file}:" in held.log.getvalue()
        assert "the config file has problems; nothing was changed" in held.log.getvalue()

        held.write(DB + WEB)
        await held.supervisor.reload_and_log_errors()

        assert "reloaded: web: added" in held.log.getvalue()


async def test_the_log_follows_the_file(tmp_path: Path) -> None:
    async with supervision(tmp_path, DB) as held:
        events: list[Event] = []
        held.supervisor.subscribe(events.append)
        head = HEAD.replace('"debug"', '"warning"\nlog_format = "json"')
        insecure = 'host_key_policy = "no"\n'

        held.file.write_text(head + DB + insecure)
        before = held.log.getvalue()
        await held.supervisor.reload()
        await held.supervisor.start(["db"], None)
        (await held.attempt("relay")).fails(DENIED)
        await held.becomes("db", "blocked")

        lines = held.log.getvalue()[len(before) :].splitlines()
        assert [line[:1] for line in lines[-1:]] == ["{"]
        assert not any('"info"' in line for line in lines)
        assert any(isinstance(event, LogEvent) for event in events)


async def test_reloads_take_turns(tmp_path: Path) -> None:
    async with supervision(tmp_path, DB) as held:
        await held.up("db", "relay")
        held.write(DB + WEB)

        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(held.supervisor.reload())
            second = tasks.create_task(held.supervisor.reload())

        assert (first.result(), second.result()) == (["web: added"], [])
