"""The key `e`: the terminal is the editor's until it ends, then a valid file is reloaded."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.dashboard.fake_terminal import running_dashboard
from tests.dashboard.sample_model import ControllerHarness
from tests.dashboard.test_app import running_supervisor
from tunnelkeeper.core.message import Message
from tunnelkeeper.dashboard.effects import EditError
from tunnelkeeper.dashboard.ui_state import EditConfig

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


def test_the_editor_opens_at_the_selected_tunnel() -> None:
    harness = ControllerHarness()
    harness.controller.select("half")
    harness.controller.edit_config()
    harness.controller.edit_command()
    harness.controller.on_text_accepted("edit")

    assert harness.actions == [EditConfig("half")] * 2


async def test_a_file_that_was_written_is_reloaded_without_a_question(path: Path) -> None:
    asked: list[tuple[str | None, str | None]] = []

    def edit(config: str | None, tunnel: str | None) -> bool:
        asked.append((config, tunnel))
        return True

    async with running_supervisor(path), running_dashboard(path, edit=edit) as terminal:
        await terminal.wait_for("stuck", "following")
        terminal.press("je")
        await terminal.wait_for("reloaded: db: a forward was added")
        config = terminal.dashboard.model.supervisor
        assert config is not None
        assert asked == [(config.config, "deep")]


async def test_problems_that_the_supervisor_finds_fill_a_page(path: Path) -> None:
    async with (
        running_supervisor(path) as fake,
        running_dashboard(path, edit=lambda *_: True) as terminal,
    ):
        await terminal.wait_for("stuck", "following")
        fake.problems = [Message("tunnels.toml:5: unknown key")]
        terminal.press("e")
        await terminal.wait_for("tunnels.toml:5: unknown key", "Esc back")


async def test_an_unchanged_file_is_not_reloaded(path: Path) -> None:
    async with (
        running_supervisor(path) as fake,
        running_dashboard(path, edit=lambda *_: False) as terminal,
    ):
        await terminal.wait_for("stuck", "following")
        terminal.press("e")
        await terminal.wait_for("the config file is unchanged")
        assert fake.requests == []


async def test_a_file_that_was_written_without_a_supervisor_says_what_starts_one(
    path: Path,
) -> None:
    async with running_dashboard(path, edit=lambda *_: True) as terminal:
        await terminal.wait_for("no supervisor is running")
        terminal.press("e")
        await terminal.wait_for("the config file is written  u starts a supervisor")


async def test_giving_up_says_where_the_text_is(path: Path) -> None:
    def edit(_config: str | None, _tunnel: str | None) -> bool:
        raise EditError("tunnels.toml is unchanged", "your text is in tunnels.edited.toml")

    async with running_supervisor(path), running_dashboard(path, edit=edit) as terminal:
        await terminal.wait_for("stuck", "following")
        terminal.press("e")
        await terminal.wait_for("tunnels.toml is unchanged  your text is in tunnels.edited.toml")


async def test_the_screen_is_suspended_and_follows_the_supervisor_meanwhile(path: Path) -> None:
    has_opened, may_end = threading.Event(), threading.Event()

    def edit(_config: str | None, _tunnel: str | None) -> bool:
        has_opened.set()
        assert may_end.wait(30)
        return False

    async with running_dashboard(path, edit=edit) as terminal:
        await terminal.wait_for("no supervisor is running")
        terminal.press("ee")
        async with running_supervisor(path):
            await terminal.wait_until(lambda _: has_opened.is_set(), "editor opened")
            await terminal.wait_until(lambda _: bool(terminal.dashboard.model.tunnels), "followed")
            assert terminal.lines() == []
            may_end.set()
            await terminal.wait_for("the config file is unchanged", "stuck")
