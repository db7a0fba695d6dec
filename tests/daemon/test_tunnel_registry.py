"""All tunnels together: found by name and group, and told of each other's luck."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.daemon.harness import Supervision, supervision
from tests.fake_clock import settled
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
    async with supervision(tmp_path, TUNNELS) as held:
        assert await held.supervisor.start([], None) == ["db", "web"]
        await settled()

        assert held.states() == {"db": "connecting", "web": "connecting", "spare": "stopped"}


async def test_tunnels_are_started_by_name_and_group_each_once_in_the_order_of_the_file(
    tmp_path: Path,
) -> None:
    async with supervision(tmp_path, TUNNELS) as held:
        names = await held.supervisor.start(["spare", "web"], "data")
        await settled()

        assert names == ["db", "web", "spare"]
        assert set(held.states().values()) == {"connecting"}


@pytest.mark.parametrize("method", ["start", "stop", "restart"])
async def test_an_unknown_name_or_group_changes_nothing(tmp_path: Path, method: str) -> None:
    async with supervision(tmp_path, TUNNELS) as held:
        act = getattr(held.supervisor, method)
        with pytest.raises(NoSuchTunnelError, match="no tunnel is named 'dbb'"):
            await act(["db", "dbb"], None)
        with pytest.raises(NoSuchGroupError, match="'wrok'"):
            await act(["db"], "wrok")
        await settled()

        assert set(held.states().values()) == {"stopped"}
        assert held.far.attempts == []


async def test_a_stop_comes_back_when_the_tunnels_are_down(tmp_path: Path) -> None:
    async with supervision(tmp_path, TUNNELS) as held:
        await held.supervisor.start(["spare"], None)
        (await held.attempt("elsewhere")).succeeds()
        await held.becomes("spare", "up")

        assert await held.supervisor.stop(["spare"], "work") == ["db", "web", "spare"]

        assert set(held.states().values()) == {"stopped"}
        assert held.far.live == []


async def test_a_restart_is_for_stopped_tunnels_too(tmp_path: Path) -> None:
    async with supervision(tmp_path, TUNNELS) as held:
        connection = await held.up("spare", "elsewhere")

        assert await held.supervisor.restart(["db", "spare"], None) == ["db", "spare"]

        (await held.attempt("elsewhere")).succeeds()
        (await held.attempt("relay")).succeeds()
        await held.becomes("spare", "up")
        await held.becomes("db", "up")
        assert connection.is_closed


async def waits(held: Supervision, name: str, host: str, failure: Failure) -> None:
    await held.supervisor.start([name], None)
    (await held.attempt(host)).fails(failure)
    await settled()
    assert held.tunnel(name).state in {"backoff", "blocked"}


async def test_a_server_that_is_back_is_tried_at_once_by_all_that_wait_for_it(
    tmp_path: Path,
) -> None:
    async with supervision(tmp_path, SAME_SERVER) as held:
        await waits(held, "second", "relay", REFUSED)
        await waits(held, "behind", "inner", REFUSED)
        await waits(held, "other", "elsewhere", REFUSED)

        await held.up("first", "relay")
        await settled()

        assert held.states() == {
            "first": "up",
            "second": "connecting",
            "behind": "connecting",
            "other": "backoff",
        }


@pytest.mark.parametrize("failure", [LOST, DENIED], ids=["lost", "denied"])
async def test_a_server_that_answered_is_not_pestered(tmp_path: Path, failure: Failure) -> None:
    async with supervision(tmp_path, SAME_SERVER) as held:
        await waits(held, "second", "relay", failure)

        await held.up("first", "relay")
        await settled()

        assert held.tunnel("second").state in {"backoff", "blocked"}


async def test_a_move_ends_waits_shortens_those_of_the_blocked_and_is_passed_on(
    tmp_path: Path,
) -> None:
    async with supervision(tmp_path, SAME_SERVER) as held:
        connection = await held.up("first", "relay")
        await waits(held, "other", "elsewhere", LOST)
        await waits(held, "behind", "inner", DENIED)
        long_wait = held.tunnel("behind").retry_at

        held.supervisor.network_changed(frozenset({"192.0.2.2"}))
        await settled()

        assert held.states() == {
            "first": "up",
            "second": "stopped",
            "behind": "blocked",
            "other": "connecting",
        }
        assert held.far.moves == [frozenset({"192.0.2.2"})]
        assert not connection.is_closed
        shorter = held.tunnel("behind").retry_at
        assert shorter is not None
        assert long_wait is not None
        assert shorter < long_wait
        assert "behind: still blocked; trying again in 30 s" in held.log.getvalue()
