"""The command dashboard: its terminal, its locale, and how it starts a supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.waiting import wait_until
from tunnelkeeper.cli.dashboard import shows_utf8, supervisor_starter
from tunnelkeeper.cli.settings import Settings
from tunnelkeeper.dashboard.effects import StartError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Tool


def test_the_dashboard_needs_a_terminal(tool: Tool) -> None:
    done = tool("dashboard")

    assert done.code == 2
    assert "needs a terminal" in done.err


@pytest.mark.parametrize(
    ("environment", "utf8"),
    [
        ({}, True),
        ({"LANG": "en_US.UTF-8"}, True),
        ({"LANG": "de_DE.utf8"}, True),
        ({"LANG": "de_DE.ISO-8859-1"}, False),
        ({"LANG": "C"}, False),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, False),
        ({"LC_CTYPE": "C.UTF-8"}, True),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "C"}, False),
        ({"LC_CTYPE": "en_US.UTF-8", "LANG": "C"}, True),
    ],
)
def test_the_locale_decides_about_utf8(environment: dict[str, str], utf8: bool) -> None:
    assert shows_utf8(environment) is utf8


def test_an_invalid_file_starts_no_supervisor(tmp_path: Path) -> None:
    config = tmp_path / "tunnels.toml"
    config.write_text("[tunnels.db]\n")
    with pytest.raises(StartError, match="has problems") as caught:
        supervisor_starter(Settings(str(config), str(tmp_path / "control.sock")))(None)

    assert "tunnels.db" in "".join(caught.value.problems)


def test_the_output_of_a_supervisor_that_exits_at_once_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "tunnels.toml"
    config.write_text('[tunnels.db]\nhost = "a"\nsocks = "1"\nautostart = false\n')
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    blocked = tmp_path / "taken"
    blocked.write_text("a file where the socket's directory should be")
    read_exit_message = supervisor_starter(Settings(str(config), str(blocked / "control.sock")))(
        None
    )

    assert "the supervisor ended with exit code" in wait_until(read_exit_message, within=60)
