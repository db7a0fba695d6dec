from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Tool

pytestmark = pytest.mark.usefixtures("ssh")


def test_show_prints_toml_or_json(tool: Tool) -> None:
    tool.config.write_text(
        '[supervisor]\nssh_config = false\n[tunnels.db]\nhost = "me@relay"\nsocks = 1080\n'
    )

    done = tool("show", "db")
    assert (done.code, done.err) == (0, "")
    assert "# tunnels.toml:5" in done.out
    assert json.loads(tool("show", "db", "--json").out)["settings"]["socks"]["value"] == 1080


def test_show_names_what_is_wrong(tool: Tool) -> None:
    assert (tool("show", "db").code, tool("show").code) == (2, 2)
    tool.config.write_text('[tunnels.db]\nhost = "me@relay"\n')
    done = tool("show", "dbb")

    assert done.code == 4
    assert "has no tunnel 'dbb'\n  hint: tunnelkeeper show db\n" in done.err
