"""The registry: selection by name and group, and retries across tunnels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.daemon.harness import SupervisorHarness, supervisor_harness
from tests.fake_clock import settle
from tests.tunnel.fake_ssh import DENIED, LOST, REFUSED
from tunnelkeeper.control.api import NoSuchGroupError, NoSuchTunnelError

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.core.failures import Failure

TUNNELS = """
[tunnels.db]
host = "relay"
remote = "2201:localhost:22"
groups = ["work", "data"]
[tunnels.web]
host = "relay"
remote = "2202:localhost:22"
groups = ["work"]
[tunnels.spare]
host = "elsewhere"
remote = "2203:localhost:22"
autostart = false
"""

SAME_SERVER = """
[tunnels.first]
host = "relay"
remote = "2201:localhost:22"
[tunnels.second]
host = "relay"
remote = "2202:localhost:22"
[tunnels.behind]
host = "inner"
jump = "relay"
remote = "2203:localhost:22"
[tunnels.other]
host = "elsewhere"
remote = "2204:localhost:22"
"""


async def test_without_names_every_tunnel_with_autostart_is_started(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        assert await harness.supervisor.start([], None) == ["db", "web"]
        await settle()

        assert harness.states() == {"db": "connecting", "web": "connecting", "spare": "stopped"}


async def test_tunnels_are_started_by_name_and_group_once_in_config_file_order(
    tmp_path: Path,
) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        names = await harness.supervisor.start(["spare", "web"], "data")
        await settle()

        assert names == ["db", "web", "spare"]
        assert set(harness.states().values()) == {"connecting"}


@pytest.mark.parametrize("method", ["start", "stop", "restart"])
async def test_an_unknown_name_or_group_changes_nothing(tmp_path: Path, method: str) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        act = getattr(harness.supervisor, method)
        with pytest.raises(NoSuchTunnelError, match="no tunnel is named 'dbb'") as unknown:
            await act(["db", "dbb"], None)
        assert unknown.value.hint == "did you mean 'db'?"
        with pytest.raises(NoSuchGroupError, match="'wrok'"):
            await act(["db"], "wrok")
        await settle()

        assert set(harness.states().values()) == {"stopped"}
        assert harness.pool.attempts == []


async def test_stop_returns_once_the_tunnels_are_stopped(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        await harness.supervisor.start(["spare"], None)
        (await harness.next_attempt("elsewhere")).succeed()
        await harness.wait_for_state("spare", "up")

        assert await harness.supervisor.stop(["spare"], "work") == ["db", "web", "spare"]

        assert set(harness.states().values()) == {"stopped"}
        assert harness.pool.open_connections == []


async def test_restart_also_starts_stopped_tunnels(tmp_path: Path) -> None:
    async with supervisor_harness(tmp_path, TUNNELS) as harness:
        connection = await harness.start_and_connect("spare", "elsewhere")

        assert await harness.supervisor.restart(["db", "spare"], None) == ["db", "spare"]

        (await harness.next_attempt("elsewhere")).succeed()
        (await harness.next_attempt("relay")).succeed()
        await harness.wait_for_state("spare", "up")
        await harness.wait_for_state("db", "up")
        assert connection.is_closed


async def waits(harness: SupervisorHarness, name: str, host: str, failure: Failure) -> None:
    await harness.supervisor.start([name], None)
    (await harness.next_attempt(host)).fail(failure)
    await settle()
    assert harness.tunnel(name).state in {"backoff", "blocked"}


async def test_tunnels_waiting_for_a_server_retry_once_another_reaches_it(
    tmp_path: Path,
) -> None:
    async with supervisor_harness(tmp_path, SAME_SERVER) as harness:
        await waits(harness, "second", "relay", REFUSED)
        await waits(harness, "behind", "inner", REFUSED)
        await waits(harness, "other", "elsewhere", REFUSED)

        await harness.start_and_connect("first", "relay")
        await settle()

        assert harness.states() == {
            "first": "up",
            "second": "connecting",
            "behind": "connecting",
            "other": "backoff",
        }


@pytest.mark.parametrize("failure", [LOST, DENIED], ids=["lost", "denied"])
async def test_tunnels_whose_server_answered_do_not_retry_early(
    tmp_path: Path, failure: Failure
) -> None:
    async with supervisor_harness(tmp_path, SAME_SERVER) as harness:
        await waits(harness, "second", "relay", failure)

        await harness.start_and_connect("first", "relay")
        await settle()

        assert harness.tunnel("second").state in {"backoff", "blocked"}


async def test_a_network_change_ends_backoff_shortens_blocked_delays_and_reaches_the_tracker(
    tmp_path: Path,
) -> None:
    async with supervisor_harness(tmp_path, SAME_SERVER) as harness:
        connection = await harness.start_and_connect("first", "relay")
        await waits(harness, "other", "elsewhere", LOST)
        await waits(harness, "behind", "inner", DENIED)
        long_wait = harness.tunnel("behind").retry_at

        harness.supervisor.network_changed(frozenset({"192.0.2.2"}))
        await settle()

        assert harness.states() == {
            "first": "up",
            "second": "stopped",
            "behind": "blocked",
            "other": "connecting",
        }
        assert harness.pool.network_changes == [frozenset({"192.0.2.2"})]
        assert not connection.is_closed
        shorter = harness.tunnel("behind").retry_at
        assert shorter is not None
        assert long_wait is not None
        assert shorter < long_wait
        assert "behind: still blocked; trying again in 30 s" in harness.log.getvalue()
