"""Opening an editor at the line of a tunnel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.cli.editor_position import command_at_line, line_of_tunnel

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """# Mine.
[hosts.relay]
port = 22

[tunnels.db]
host = "relay"

[tunnels."odd.name"]
host = "relay"
"""


@pytest.mark.parametrize(
    ("editor", "expected"),
    [
        (["vi"], ["vi", "+7", "f"]),
        (["/no/such/vim.basic", "-n"], ["/no/such/vim.basic", "-n", "+7", "f"]),
        (["emacs-gtk"], ["emacs-gtk", "+7", "f"]),
        (["code", "--wait"], ["code", "--wait", "--goto", "f:7"]),
        (["hx"], ["hx", "f:7"]),
        (["my-editor"], ["my-editor", "f"]),
    ],
)
def test_an_editor_gets_the_line_in_its_own_way(editor: list[str], expected: list[str]) -> None:
    assert command_at_line(editor, "f", 7) == expected


def test_an_editor_behind_a_link_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "nano").write_text("")
    link = tmp_path / "alternative"
    link.symlink_to("nano")

    assert command_at_line([str(link)], "f", 7) == [str(link), "+7", "f"]


@pytest.mark.parametrize("line", [None, 1])
def test_without_a_line_the_file_opens_at_its_beginning(line: int | None) -> None:
    assert command_at_line(["vi"], "f", line) == ["vi", "f"]


@pytest.mark.parametrize(
    ("text", "name", "line"),
    [
        (TEXT, "db", 5),
        (TEXT, "odd.name", 8),
        (TEXT, "web", None),
        (TEXT, "relay", None),
        (TEXT + "[", "db", None),
        ("tunnels = { db = 1 }", "db", 1),
        ("", "db", None),
    ],
)
def test_the_line_of_a_tunnel_is_that_of_its_table(text: str, name: str, line: int | None) -> None:
    assert line_of_tunnel(text, name) == line


@given(st.text(), st.text())
def test_any_text_has_a_line_of_its_own_or_none(text: str, name: str) -> None:
    line = line_of_tunnel(text, name)

    assert line is None or 1 <= line <= text.count("\n") + 1
