"""The table of keys: what is bound, what the help lists, and what docs/dashboard.md says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from prompt_toolkit.keys import Keys

from tests.dashboard.sample_model import ALL, ControllerHarness
from tests.imports import ROOT
from tests.markdown import rows_of, section
from tunnelkeeper.dashboard import key_bindings
from tunnelkeeper.dashboard.glyphs import UNICODE
from tunnelkeeper.dashboard.help_page import KEY_WIDTH, help_lines
from tunnelkeeper.dashboard.key_table import (
    ANSWERING,
    CONFIRMING,
    DISCONNECTED,
    EVERYWHERE,
    MOVING,
    READING,
    SECTIONS,
    TABLE,
    TUNNEL,
    TUNNEL_PAGE,
    TYPING,
    Section,
)

if TYPE_CHECKING:
    from collections.abc import Collection

PAGE = ROOT / "docs" / "dashboard.md"
TOGETHER = (
    (MOVING, TUNNEL, TABLE, DISCONNECTED, EVERYWHERE),
    (MOVING, TUNNEL, TUNNEL_PAGE, DISCONNECTED, EVERYWHERE),
    (MOVING, READING, EVERYWHERE),
    (ANSWERING, EVERYWHERE),
    (TYPING, EVERYWHERE),
    (CONFIRMING, EVERYWHERE),
)
"""Sections whose keys apply at the same time."""


@pytest.mark.parametrize(
    ("keys", "operations"),
    [
        (MOVING, key_bindings.MOVING),
        (TUNNEL, key_bindings.TUNNEL),
        (TABLE, key_bindings.TABLE),
        (DISCONNECTED, key_bindings.DISCONNECTED),
        (TUNNEL_PAGE, key_bindings.TUNNEL_PAGE),
        (READING, key_bindings.READING),
        (CONFIRMING, key_bindings.CONFIRMING),
        (ANSWERING, key_bindings.ANSWERING),
        (EVERYWHERE, key_bindings.EVERYWHERE),
    ],
)
def test_every_key_of_a_section_has_an_operation(
    keys: Section, operations: Collection[str]
) -> None:
    assert [key.names for key in keys.keys] == [*operations]


def test_nothing_is_bound_that_the_table_does_not_have() -> None:
    harness = ControllerHarness()
    bound = {
        _name_of(binding.keys[0])
        for binding in key_bindings.create_key_bindings(harness.controller, lambda: None).bindings
        if len(binding.keys) == 1
    }

    names = {name for each in SECTIONS for key in each.keys for name in key.names.split()}
    pasted = {"<bracketed-paste>"}
    assert {_name_of(name) for name in names} == bound - pasted - {
        *key_bindings.UNUSED_IN_ANSWERS
    } | {"c-m"}


@pytest.mark.parametrize("sections", TOGETHER)
def test_no_key_has_two_operations_at_the_same_time(sections: tuple[Section, ...]) -> None:
    names = [name for each in sections for key in each.keys for name in key.names.split()]

    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("each", SECTIONS, ids=lambda each: each.title)
def test_every_key_is_in_the_documentation_of_its_mode(each: Section) -> None:
    cells = [row[0].replace("`", "") for row in rows_of(section(PAGE, each.title))]
    documented = {token for cell in cells for token in re.split(r", | ", cell)}

    assert {name for key in each.keys for name in key.shown.split()} == documented


def test_the_help_lists_every_key_with_its_meaning() -> None:
    lines = help_lines(UNICODE)
    for each in SECTIONS:
        start = lines.index(f"{each.title}: {each.about}")
        end = lines.index("", start)
        keys_of = {line[KEY_WIDTH + 3 :]: line[: KEY_WIDTH + 2] for line in lines[start + 1 : end]}
        for key in each.keys:
            shown = keys_of.get(key.meaning, "").replace(",", "").split()
            assert set(key.shown.split()) <= set(shown)


@pytest.mark.parametrize("is_page_open", [False, True])
def test_every_key_of_the_bottom_line_is_bound(is_page_open: bool) -> None:
    sections = (TUNNEL, TUNNEL_PAGE if is_page_open else TABLE, DISCONNECTED)
    names = {name for each in sections for key in each.keys for name in key.names.split()}
    harness = ControllerHarness()
    for tunnel in ALL:
        harness.controller.select(tunnel.name)
        if is_page_open:
            harness.controller.open_page()
        hints = {hint.key for hint in harness.draw(400, 50).hints}
        assert hints <= names
        if is_page_open:
            harness.controller.escape()


def _name_of(key: Keys | str) -> str:
    name = key.value if isinstance(key, Keys) else key
    aliases = {"enter": "c-m", "tab": "c-i", "space": " ", "backspace": "c-h"}
    return aliases.get(name, name)
