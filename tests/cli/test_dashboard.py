"""The command around the dashboard: its terminal, its locale, and how it starts a supervisor."""

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


def test_it_needs_a_terminal(tool: Tool) -> None:
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
def test_it_draws_with_what_the_locale_has(environment: dict[str, str], utf8: bool) -> None:
    assert shows_utf8(environment) is utf8


def test_a_bad_file_starts_no_supervisor(tmp_path: Path) -> None:
    config = tmp_path / "tunnels.toml"
    config.write_text("[tunnels.db]\n")
    with pytest.raises(StartError, match="has problems") as caught:
        supervisor_starter(Settings(str(config), str(tmp_path / "control.sock")))()

    assert "tunnels.db" in "".join(caught.value.problems)


def test_a_supervisor_that_ends_at_once_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "tunnels.toml"
    config.write_text('[tunnels.db]\nhost = "a"\nsocks = "1"\nautostart = false\n')
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    here = tmp_path / "taken"
    here.write_text("a file where the socket's folder should be")
    ended = supervisor_starter(Settings(str(config), str(here / "control.sock")))()

    assert "the supervisor ended with exit code" in wait_until(ended, within=60)
