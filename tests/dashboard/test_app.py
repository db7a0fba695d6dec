"""The dashboard application with real keys and a real control socket, and a fake supervisor."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest
from prompt_toolkit.data_structures import Size
from prompt_toolkit.output import ColorDepth

from tests.control.fakes import FakeSupervisor
from tests.dashboard.fake_terminal import DashboardTerminal, running_dashboard
from tests.dashboard.sample_model import ALL, AWAY, DB
from tunnelkeeper.control.payloads import TunnelEvent
from tunnelkeeper.control.server import ControlServer
from tunnelkeeper.core.message import Message
from tunnelkeeper.dashboard.effects import StartError
from tunnelkeeper.dashboard.style import make_style

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


@asynccontextmanager
async def running_supervisor(path: Path) -> AsyncIterator[FakeSupervisor]:
    fake = FakeSupervisor(*ALL)
    async with asyncio.TaskGroup() as tasks, ControlServer(path, fake).serving(tasks):
        yield fake


@asynccontextmanager
async def connected_dashboard(
    path: Path, depth: ColorDepth = ColorDepth.DEPTH_4_BIT
) -> AsyncIterator[tuple[DashboardTerminal, FakeSupervisor]]:
    async with running_supervisor(path) as fake, running_dashboard(path, depth=depth) as terminal:
        await terminal.wait_for("stuck", "following")
        yield terminal, fake


async def wait_for_requests(fake: FakeSupervisor, *expected: tuple[str, list[str]]) -> None:
    async with asyncio.timeout(20):
        while len(fake.requests) < len(expected):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert fake.requests == [(method, names, None) for method, names in expected]


async def test_prompt_toolkit_draws_the_rendered_screen(path: Path) -> None:
    async with connected_dashboard(path) as (terminal, _):
        assert "\n".join(terminal.lines()) == terminal.rendered_text()


async def test_keys_control_the_selected_tunnel(path: Path) -> None:
    async with connected_dashboard(path) as (terminal, fake):
        terminal.press("x")
        await terminal.wait_for("stop db: done")
        terminal.press("jr")
        await terminal.wait_for("restart deep: requested")
        terminal.press("p")
        await terminal.wait_for("restart deep gracefully: requested")
        terminal.press("kkw")
        await terminal.wait_for("no tunnel is waiting to retry")
        deep = ["deep"]
        await wait_for_requests(
            fake, ("stop", ["db"]), ("restart", deep), ("restart gracefully", deep)
        )


async def test_an_action_on_several_tunnels_runs_only_after_y(path: Path) -> None:
    async with connected_dashboard(path) as (terminal, fake):
        terminal.press("ax")
        await terminal.wait_for("stop 6 tunnels?", "y yes")
        terminal.press("q")
        await terminal.wait_for("6 marked", "q quit")
        terminal.press("aax")
        await terminal.wait_for("stop 6 tunnels?")
        terminal.press("\x1b")
        await terminal.wait_for("6 marked", "q quit")
        terminal.press("sy")
        await terminal.wait_for("start 6 tunnels: requested")
        await wait_for_requests(fake, ("start", [tunnel.name for tunnel in ALL]))


async def test_a_filter_pasted_at_once_takes_effect(path: Path) -> None:
    async with connected_dashboard(path) as (terminal, _):
        terminal.press("/group=night")
        text = await terminal.wait_for("filter: group=night", "1 of 6")
        assert "stuck" not in text.split("log")[0]
        terminal.press("\r")
        await terminal.wait_for("/group=night", "q quit")
        terminal.press("\x1b")
        await terminal.wait_for("stuck")


async def test_the_command_line_completes_and_runs_a_command(path: Path) -> None:
    async with connected_dashboard(path) as (terminal, fake):
        terminal.press(":resta")
        await terminal.wait_for(":resta")
        terminal.press("\t")
        await terminal.wait_for(":restart")
        terminal.press(" aw\t\r")
        await terminal.wait_for("restart away: requested")
        terminal.press(":nonsense\r")
        await terminal.wait_for("no such command 'nonsense'")
        await wait_for_requests(fake, ("restart", ["away"]))


async def test_keys_open_detail_log_and_help_and_sort(path: Path) -> None:
    async with connected_dashboard(path) as (terminal, _):
        terminal.press("\r")
        await terminal.wait_for("Hops", "Forwards", "Events")
        terminal.press("l")
        await terminal.wait_for("log of db")
        terminal.press("oo")
        await terminal.wait_for("by name")
        terminal.press("?")
        await terminal.wait_for("restart gracefully", "lines 1-")
        terminal.press("\x1b")
        await terminal.wait_for("Hops")


async def test_a_failed_reload_shows_all_problems(path: Path) -> None:
    async with connected_dashboard(path) as (terminal, fake):
        problem = Message("tunnels.toml:5: unknown key", "'host'")
        fake.problems = [problem, Message("tunnels.toml:9: unknown host")]
        terminal.press("R")
        await terminal.wait_for("reload the config file?")
        terminal.press("y")
        await terminal.wait_for(*problem.lines, "unknown host", "nothing was changed")
        terminal.press("q")
        fake.problems = []
        await terminal.wait_for("following")
        terminal.press("Ry")
        await terminal.wait_for("reloaded: db: a forward was added")


async def test_an_event_redraws_the_screen_without_a_key(path: Path) -> None:
    async with connected_dashboard(path) as (terminal, fake):
        await terminal.wait_for("● 2 up")
        fake.publish(TunnelEvent(msgspec.structs.replace(AWAY, state="up", failure=None)))
        await terminal.wait_for("● 3 up")


async def test_an_event_without_a_visible_change_does_not_redraw(path: Path) -> None:
    async with connected_dashboard(path) as (terminal, fake):
        await terminal.wait_for("● 2 up")
        drawn: list[object] = []
        terminal.dashboard.app.after_render += drawn.append
        was_checked = asyncio.Event()
        redraw_if_changed = terminal.dashboard._redraw_if_changed

        def check() -> None:
            redraw_if_changed()
            was_checked.set()

        terminal.dashboard._redraw_if_changed = check  # type: ignore[method-assign]
        fake.publish(TunnelEvent(DB))  # the same as before
        async with asyncio.timeout(20):
            await was_checked.wait()
        assert drawn == []


async def test_the_dashboard_reconnects_to_a_new_supervisor(path: Path) -> None:
    async with running_dashboard(path) as terminal:
        await terminal.wait_for("no supervisor is running", "u starts one")
        async with running_supervisor(path):
            await terminal.wait_for("stuck", "following")
        await terminal.wait_for("supervisor disconnected", "stuck")
        async with running_supervisor(path):
            await terminal.wait_until(lambda text: "disconnected" not in text, "back")


async def test_the_u_key_starts_a_supervisor(path: Path) -> None:
    was_started = asyncio.Event()

    def start(config: str | None) -> Callable[[], str | None]:
        assert config is None
        was_started.set()
        return lambda: None

    async with running_dashboard(path, start) as terminal:
        await terminal.wait_for("u starts one")
        terminal.press("u")
        async with asyncio.timeout(20):
            await was_started.wait()
        async with running_supervisor(path):
            await terminal.wait_for("a supervisor runs in the background")


async def test_problems_that_prevent_a_start_are_shown(path: Path) -> None:
    def fail_to_start(_config: str | None) -> Callable[[], str | None]:
        raise StartError("the config file has problems", ("tunnels.toml:1: broken",))

    async with running_dashboard(path, fail_to_start) as terminal:
        await terminal.wait_for("u starts one")
        terminal.press("u")
        await terminal.wait_for("tunnels.toml:1: broken", "Esc back")


async def test_a_started_supervisor_that_exits_is_reported(path: Path) -> None:
    async with running_dashboard(
        path, lambda _config: lambda: "it ended with exit code 1; its output:\n  boom"
    ) as terminal:
        await terminal.wait_for("u starts one")
        terminal.press("u")
        await terminal.wait_for("it ended with exit code 1", "boom")


async def test_the_screen_fits_after_the_window_changes_its_size(path: Path) -> None:
    async with connected_dashboard(path) as (terminal, _):
        for rows, columns in ((15, 60), (50, 200), (4, 20), (24, 80)):
            terminal.size = Size(rows=rows, columns=columns)
            terminal.dashboard.app._on_resize()
            await terminal.wait_until(
                lambda text: text == terminal.rendered_text(), f"filled at {columns}x{rows}"
            )


async def test_clicks_select_open_sort_and_press_keys(path: Path) -> None:
    def click(x: int, y: int) -> None:
        terminal.press(f"\x1b[<0;{x + 1};{y + 1}M\x1b[<0;{x + 1};{y + 1}m")

    async with connected_dashboard(path) as (terminal, _):
        lines = terminal.lines()
        row = next(y for y, line in enumerate(lines) if " half " in line)
        click(10, row)
        await terminal.wait_until(
            lambda _: terminal.dashboard.controller.ui_state.selected == "half", "half selected"
        )
        click(10, row)
        await terminal.wait_for("half  ◐ degraded")
        click(lines[3].index("NAME"), 3)
        await terminal.wait_for("by name")
        click(terminal.lines()[-1].index("help"), terminal.size.rows - 1)
        await terminal.wait_for("restart gracefully", "lines 1-")


@pytest.mark.parametrize(
    ("depth", "has_colours"), [(ColorDepth.DEPTH_4_BIT, True), (ColorDepth.DEPTH_1_BIT, False)]
)
async def test_colours_are_the_terminals_own_or_off(
    path: Path, depth: ColorDepth, has_colours: bool
) -> None:
    async with connected_dashboard(path, depth) as (terminal, _):
        written = terminal.output.getvalue()

    assert ("\x1b[0;32m" in written) == has_colours
    assert "38;5;" not in written
    assert "38;2;" not in written


async def test_q_and_ctrl_c_quit(path: Path) -> None:
    for key in ("q", "\x03"):
        async with connected_dashboard(path) as (terminal, fake):
            terminal.press(key)
            async with asyncio.timeout(20):
                while terminal.dashboard.app.is_running:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert not fake.has_ended.is_set()


@pytest.mark.parametrize("has_256_colours", [True, False])
def test_problems_have_other_colours_than_tunnels_that_are_up(has_256_colours: bool) -> None:
    style = make_style(has_256_colours=has_256_colours)
    colours = {
        style.get_attrs_for_style_str(f"class:state.{state}").color
        for state in ("up", "backoff", "blocked")
    }

    assert len(colours) == 3
