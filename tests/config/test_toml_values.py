from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.config.toml_values import format_table, format_toml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_a_value_is_one_line_that_toml_reads_as_the_same_value(value: object) -> None:
    text = format_toml(value)

    assert "\n" not in text
    assert tomllib.loads(f"value = {text}")["value"] == value


@given(TEXTS.filter(bool), st.dictionaries(TEXTS, VALUES, max_size=3))
def test_a_table_is_read_as_the_same_table(name: str, table: dict[str, object]) -> None:
    assert tomllib.loads(format_table("tunnels", name, table)) == {"tunnels": {name: table}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (["5432:db:5432"], '["5432:db:5432"]'),
        (30.0, "30"),
        (0.5, "0.5"),
        ({"max": "10s"}, '{ max = "10s" }'),
        ((22, 443), "[22, 443]"),
        ({}, "{}"),
    ],
)
def test_values_look_as_a_person_writes_them(value: object, text: str) -> None:
    assert format_toml(value) == text
