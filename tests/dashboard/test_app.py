"""The application with real keys and a real control socket; the supervisor is a fake."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest
from prompt_toolkit.data_structures import Size
from prompt_toolkit.output import ColorDepth

from tests.control.fakes import FakeSupervised
from tests.dashboard.fake_terminal import DashboardTerminal, running_dashboard
from tests.dashboard.sample_model import ALL, AWAY, DB
from tunnelkeeper.control.payloads import TunnelEvent
from tunnelkeeper.control.server import ControlServer
from tunnelkeeper.dashboard.effects import StartError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[FakeSupervised]:
    fake = FakeSupervised(*ALL)
    async with asyncio.TaskGroup() as tasks, ControlServer(path, fake).serving(tasks):
        yield fake


@asynccontextmanager
async def a_dashboard(
    path: Path, depth: ColorDepth = ColorDepth.DEPTH_4_BIT
) -> AsyncIterator[tuple[DashboardTerminal, FakeSupervised]]:
    async with serving(path) as fake, running_dashboard(path, depth=depth) as screen:
        await screen.wait_for("stuck", "following")
        yield screen, fake


async def wait_for_requests(fake: FakeSupervised, *expected: tuple[str, list[str]]) -> None:
    async with asyncio.timeout(20):
        while len(fake.asked) < len(expected):  # noqa: ASYNC110  a fake has no event for it
            await asyncio.sleep(0.01)
    assert fake.asked == [(method, names, None) for method, names in expected]


async def test_the_screen_is_the_picture(path: Path) -> None:
    async with a_dashboard(path) as (screen, _):
        assert "\n".join(screen.lines()) == screen.rendered_text()


async def test_keys_ask_the_supervisor(path: Path) -> None:
    async with a_dashboard(path) as (screen, fake):
        screen.press("x")
        await screen.wait_for("stop db: done")
        screen.press("jr")
        await screen.wait_for("restart deep: requested")
        screen.press("p")
        await screen.wait_for("restart deep gracefully: requested")
        screen.press("kkw")
        await screen.wait_for("no tunnel is waiting to retry")
        deep = ["deep"]
        await wait_for_requests(
            fake, ("stop", ["db"]), ("restart", deep), ("restart gracefully", deep)
        )


async def test_many_are_asked_about_and_any_key_but_y_means_no(path: Path) -> None:
    async with a_dashboard(path) as (screen, fake):
        screen.press("ax")
        await screen.wait_for("stop 6 tunnels?", "y yes")
        screen.press("q")
        await screen.wait_for("6 marked", "q quit")
        screen.press("aax")
        await screen.wait_for("stop 6 tunnels?")
        screen.press("\x1b")
        await screen.wait_for("6 marked", "q quit")
        screen.press("sy")
        await screen.wait_for("start 6 tunnels: requested")
        await wait_for_requests(fake, ("start", [tunnel.name for tunnel in ALL]))


async def test_what_is_typed_in_one_go_filters(path: Path) -> None:
    async with a_dashboard(path) as (screen, _):
        screen.press("/group=night")
        text = await screen.wait_for("filter: group=night", "1 of 6")
        assert "stuck" not in text.split("log")[0]
        screen.press("\r")
        await screen.wait_for("/group=night", "q quit")
        screen.press("\x1b")
        await screen.wait_for("stuck")


async def test_a_command_line_completes_and_acts(path: Path) -> None:
    async with a_dashboard(path) as (screen, fake):
        screen.press(":resta")
        await screen.wait_for(":resta")
        screen.press("\t")
        await screen.wait_for(":restart")
        screen.press(" aw\t\r")
        await screen.wait_for("restart away: requested")
        screen.press(":nonsense\r")
        await screen.wait_for("no command 'nonsense'")
        await wait_for_requests(fake, ("restart", ["away"]))


async def test_detail_help_sorting_and_log_by_key(path: Path) -> None:
    async with a_dashboard(path) as (screen, _):
        screen.press("\r")
        await screen.wait_for("Hops", "Forwards", "Traffic")
        screen.press("l")
        await screen.wait_for("log of db")
        screen.press("oo")
        await screen.wait_for("by name")
        screen.press("?")
        await screen.wait_for("Keys", "restart the tunnel")
        screen.press("\x1b")
        await screen.wait_for("Hops")


async def test_a_reload_with_problems_shows_them_all(path: Path) -> None:
    async with a_dashboard(path) as (screen, fake):
        fake.problems = ["tunnels.toml:5: unknown key", "tunnels.toml:9: unknown host"]
        screen.press("R")
        await screen.wait_for("reload the config file?")
        screen.press("y")
        await screen.wait_for(*fake.problems, "nothing was changed")
        screen.press("q")
        fake.problems = []
        await screen.wait_for("following")
        screen.press("Ry")
        await screen.wait_for("reloaded: db: a forward was added")


async def test_a_change_is_seen_without_a_key(path: Path) -> None:
    async with a_dashboard(path) as (screen, fake):
        await screen.wait_for("● 2 up")
        fake.publish(TunnelEvent(msgspec.structs.replace(AWAY, state="up", failure=None)))
        await screen.wait_for("● 3 up")


async def test_nothing_is_drawn_when_nothing_changed(path: Path) -> None:
    async with a_dashboard(path) as (screen, fake):
        await screen.wait_for("● 2 up")
        drawn: list[object] = []
        screen.dashboard.app.after_render += drawn.append
        looked = asyncio.Event()
        look = screen.dashboard._redraw_if_changed

        def looks() -> None:
            look()
            looked.set()

        screen.dashboard._redraw_if_changed = looks  # type: ignore[method-assign]
        fake.publish(TunnelEvent(DB))  # the same as before
        async with asyncio.timeout(20):
            await looked.wait()
        assert drawn == []


async def test_the_supervisor_goes_and_another_comes(path: Path) -> None:
    async with running_dashboard(path) as screen:
        await screen.wait_for("no supervisor is running", "u starts one")
        async with serving(path):
            await screen.wait_for("stuck", "following")
        await screen.wait_for("supervisor disconnected", "stuck")
        async with serving(path):
            await screen.wait_until(lambda text: "disconnected" not in text, "back")


async def test_a_supervisor_is_started_by_key(path: Path) -> None:
    wanted = asyncio.Event()

    def start() -> Callable[[], str | None]:
        wanted.set()
        return lambda: None

    async with running_dashboard(path, start) as screen:
        await screen.wait_for("u starts one")
        screen.press("u")
        async with asyncio.timeout(20):
            await wanted.wait()
        async with serving(path):
            await screen.wait_for("a supervisor runs in the background")


async def test_why_none_can_be_started_is_told(path: Path) -> None:
    def refuses() -> Callable[[], str | None]:
        raise StartError("the config file has problems", ("tunnels.toml:1: broken",))

    async with running_dashboard(path, refuses) as screen:
        await screen.wait_for("u starts one")
        screen.press("u")
        await screen.wait_for("tunnels.toml:1: broken", "Esc back")


async def test_one_that_ends_at_once_is_told(path: Path) -> None:
    async with running_dashboard(
        path, lambda: lambda: "it ended with exit code 1; it said:\n  boom"
    ) as s:
        await s.wait_for("u starts one")
        s.press("u")
        await s.wait_for("it ended with exit code 1", "boom")


async def test_the_window_may_change_its_size(path: Path) -> None:
    async with a_dashboard(path) as (screen, _):
        for rows, columns in ((15, 60), (50, 200), (4, 20), (24, 80)):
            screen.size = Size(rows=rows, columns=columns)
            screen.dashboard.app._on_resize()
            await screen.wait_until(
                lambda text: text == screen.rendered_text(), f"filled at {columns}x{rows}"
            )


async def test_a_click_chooses_sorts_and_presses(path: Path) -> None:
    def click(x: int, y: int) -> None:
        screen.press(f"\x1b[<0;{x + 1};{y + 1}M\x1b[<0;{x + 1};{y + 1}m")

    async with a_dashboard(path) as (screen, _):
        lines = screen.lines()
        row = next(y for y, line in enumerate(lines) if " half " in line)
        click(10, row)
        await screen.wait_until(
            lambda _: screen.dashboard.controller.ui_state.selected == "half", "half chosen"
        )
        click(10, row)
        await screen.wait_for("half  ◐ degraded")
        click(lines[3].index("NAME"), 3)
        await screen.wait_for("by name")
        click(screen.lines()[-1].index("help"), screen.size.rows - 1)
        await screen.wait_for("Keys", "restart the tunnel")


@pytest.mark.parametrize(
    ("depth", "coloured"), [(ColorDepth.DEPTH_4_BIT, True), (ColorDepth.DEPTH_1_BIT, False)]
)
async def test_colours_are_the_terminals_own_or_none(
    path: Path, depth: ColorDepth, coloured: bool
) -> None:
    async with a_dashboard(path, depth) as (screen, _):
        written = screen.output.getvalue()

    assert ("\x1b[0;32m" in written) == coloured
    assert "38;5;" not in written
    assert "38;2;" not in written


async def test_q_and_ctrl_c_leave(path: Path) -> None:
    for key in ("q", "\x03"):
        async with a_dashboard(path) as (screen, fake):
            screen.press(key)
            async with asyncio.timeout(20):
                while screen.dashboard.app.is_running:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert not fake.has_ended.is_set()
