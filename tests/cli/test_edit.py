"""`tunnelkeeper edit` with editors that are shell scripts."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.atomic_write import write_atomically
from tunnelkeeper.cli import launch
from tunnelkeeper.cli.edit import EDITORS, choose_editor
from tunnelkeeper.cli.launch import Findings
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.config import Problem, load
from tunnelkeeper.config.starter import HEADER
from tunnelkeeper.importing import config_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Tool
    from tests.control.fakes import RunningServer

OLD = '# Mine.\n[tunnels.web]\nhost = "relay"\nsocks = 1080\n'


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check nothing that the file names: it has tests of its own and asks ssh."""
    monkeypatch.setattr(launch, "check", lambda _path: Findings([], []))


@pytest.fixture
def edit_with(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Set the editor to a script; `$1` is the file to edit."""

    def set_editor(script: str) -> None:
        path = tmp_path / "the editor"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.delenv("VISUAL", raising=False)
        monkeypatch.setenv("EDITOR", f"'{path}'")

    tool.config.write_text(OLD)
    return set_editor


def files(tool: Tool) -> list[str]:
    return sorted(path.name for path in tool.home.iterdir() if path.suffix == ".toml")


def test_a_valid_text_replaces_the_file(tool: Tool, edit_with: Callable[[str], None]) -> None:
    tool.config.chmod(0o640)
    edit_with("sed -i 's/1080/1081/' \"$1\"")

    done = tool("edit")

    assert (done.code, done.out, done.err) == (0, f"{tool.config} is written\n", "")
    assert tool.config.read_text() == OLD.replace("1080", "1081")
    assert stat.S_IMODE(tool.config.stat().st_mode) == 0o640
    assert files(tool) == ["tunnels.toml"]


def test_an_unchanged_text_writes_nothing(tool: Tool, edit_with: Callable[[str], None]) -> None:
    edit_with("exit 0")
    before = tool.config.stat()

    assert tool("edit").out == "nothing has changed\n"
    assert tool.config.stat() == before
    assert files(tool) == ["tunnels.toml"]


def test_without_a_terminal_an_invalid_text_is_kept_beside_the_file(
    tool: Tool, edit_with: Callable[[str], None]
) -> None:
    edit_with("sed -i 's/socks/scoks/' \"$1\"")

    done = tool("edit")

    kept = tool.home / "tunnels.edited.toml"
    assert (done.code, done.out) == (2, "")
    assert (
        f"{tool.config}:4: tunnels.web.scoks: unknown key\n  hint: did you mean 'socks'?"
        in done.err
    )
    assert done.err.endswith(f"{tool.config} is unchanged; your text is in {kept}\n")
    assert (tool.config.read_text(), kept.read_text()) == (OLD, OLD.replace("socks", "scoks"))
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    tool("edit")
    assert files(tool) == ["tunnels.edited-2.toml", "tunnels.edited.toml", "tunnels.toml"]


def test_bytes_that_are_not_utf_8_are_a_problem(
    tool: Tool, edit_with: Callable[[str], None]
) -> None:
    edit_with("printf '\\377' >> \"$1\"")

    assert "not UTF-8 at byte" in tool("edit").err


def test_a_file_that_does_not_exist_is_created_from_a_header(
    tool: Tool, edit_with: Callable[[str], None]
) -> None:
    edit_with("exit 0")
    tool.config.unlink()

    assert tool("edit").out == "nothing has changed\n"
    assert files(tool) == []
    edit_with('echo \'tunnels.a = { host = "h" }\' >> "$1"')
    assert tool("edit").code == 0
    assert tool.config.read_text().startswith(HEADER)
    assert list(load(tool.config).tunnels) == ["a"]
    assert stat.S_IMODE(tool.config.stat().st_mode) == 0o600


def test_an_invalid_file_can_be_mended(tool: Tool, edit_with: Callable[[str], None]) -> None:
    tool.config.write_text(OLD.replace("socks", "scoks"))
    edit_with("sed -i 's/scoks/socks/' \"$1\"")

    assert tool("edit").code == 0
    assert tool.config.read_text() == OLD


def test_a_file_that_changes_meanwhile_is_not_overwritten(
    tool: Tool, edit_with: Callable[[str], None]
) -> None:
    edit_with(f"echo '# other' >> {tool.config}; echo '# mine' >> \"$1\"")

    done = tool("edit")

    assert done.code == 1
    assert "was changed by another program meanwhile; your text is in" in done.err
    assert tool.config.read_text() == f"{OLD}# other\n"
    assert (tool.home / "tunnels.edited.toml").read_text() == f"{OLD}# mine\n"


def test_an_editor_that_fails_changes_nothing(
    tool: Tool, edit_with: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_with("exit 3")
    assert tool("edit").err.endswith("ended with exit code 3; nothing was changed\n")
    edit_with('echo >> "$1"; kill -9 $$')
    assert "ended by signal 9; nothing was changed; your text is in" in tool("edit").err
    assert tool.config.read_text() == OLD
    monkeypatch.setenv("EDITOR", "/no/editor")
    assert "cannot run the editor /no/editor: No such file" in tool("edit").err


def test_a_text_that_cannot_be_written_is_kept(
    tool: Tool, edit_with: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    edit_with('echo >> "$1"')
    monkeypatch.setattr(config_file, write_atomically.__name__, fail)

    assert "No space left on device; your text is in" in tool("edit").err
    assert files(tool) == ["tunnels.edited.toml", "tunnels.toml"]


def test_a_supervisor_of_the_file_reloads_it(
    tool: Tool, edit_with: Callable[[str], None], server: RunningServer
) -> None:
    server.fake.config = str(tool.config)
    edit_with('echo "# more" >> "$1"')

    assert "the running supervisor has reloaded the file" in tool("edit").out


def test_what_the_file_names_is_checked_afterwards(
    tool: Tool, edit_with: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Problem(str(tool.config), 3, "identity_files", "no such file")
    monkeypatch.setattr(launch, "check", lambda _path: Findings([missing], []))
    edit_with('echo "# more" >> "$1"')

    done = tool("edit")
    assert (done.code, done.err) == (0, f"{tool.config}:3: identity_files: no such file\n")


def test_the_editor_is_visual_then_editor_then_the_first_that_is_installed() -> None:
    def is_vi(name: str) -> str | None:
        return "/bin/vi" if name == "vi" else None

    assert choose_editor({"VISUAL": "code --wait", "EDITOR": "ed"}, is_vi) == ["code", "--wait"]
    assert choose_editor({"VISUAL": "", "EDITOR": "ed"}, is_vi) == ["ed"]
    assert choose_editor({}, is_vi) == ["vi"]
    assert choose_editor({}, lambda name: name) == [EDITORS[0]]
    with pytest.raises(CommandError, match="no editor was found"):
        choose_editor({}, lambda _: None)
    with pytest.raises(CommandError, match=r"\$EDITOR .*: No closing quotation"):
        choose_editor({"EDITOR": "'x"}, is_vi)
