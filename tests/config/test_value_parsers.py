"""Parsers of single values: accepted values and error messages."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.config.errors import InvalidValueError, format_key_path, format_value
from tunnelkeeper.config.value_parsers import MAX_DURATION, byte_size, duration, several, text

if TYPE_CHECKING:
    from tunnelkeeper.config.errors import KeyPath


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (15, 15.0),
        (0, 0.0),
        (0.5, 0.5),
        ("15s", 15.0),
        ("1.5s", 1.5),
        ("500ms", 0.5),
        ("2m", 120.0),
        ("1h30m", 5400.0),
        ("1d", 86400.0),
        ("1h1s1ms", 3601.001),
    ],
)
def test_a_duration_is_a_number_of_seconds_or_a_text_with_units(
    value: object, seconds: float
) -> None:
    assert duration(value) == seconds


@given(st.integers(0, 99), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_a_formatted_duration_is_parsed_back(
    days: int, hours: int, minutes: int, seconds: int
) -> None:
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
    written = "".join(f"{amount}{unit}" for amount, unit in parts if amount) or "0s"

    assert duration(written) == ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@pytest.mark.parametrize(
    ("value", "size"),
    [(0, 0), (1024, 1024), ("512", 512), ("4K", 4096), ("512M", 512 << 20), ("2g", 2 << 30)],
)
def test_a_byte_size_is_a_number_or_a_text_with_a_unit(value: object, size: int) -> None:
    assert byte_size(value) == size


@pytest.mark.parametrize("value", [-1, True, 1.5, "", "M", "1T", "1.5G", "-1", "9" * 19, None, []])
def test_anything_else_is_no_byte_size(value: object) -> None:
    with pytest.raises(InvalidValueError, match="expected bytes, such as"):
        byte_size(value)


@given(st.floats(0, MAX_DURATION))
def test_a_number_of_seconds_is_unchanged(seconds: float) -> None:
    assert duration(seconds) == seconds


@pytest.mark.parametrize(
    "value",
    [
        -1,
        True,
        None,
        [],
        {},
        "",
        "15",
        "s",
        "30m1h",
        "1m 30s",
        "-1s",
        "1w",
        "\N{DEVANAGARI DIGIT ONE}s",
        float("nan"),
        float("-inf"),
    ],
)
def test_an_invalid_duration_lists_the_accepted_forms(value: object) -> None:
    with pytest.raises(InvalidValueError, match='"500ms", "15s", "2m" or "1h30m", got'):
        duration(value)


@pytest.mark.parametrize("value", [float("inf"), 10**400, "9" * 400 + "s", "40000d"])
def test_a_duration_above_100_years_is_refused(value: object) -> None:
    with pytest.raises(InvalidValueError, match="at most 100 years"):
        duration(value)


def test_a_single_value_is_a_list_of_one() -> None:
    assert several(text)("a") == ("a",)
    assert several(text)(["a", "b"]) == ("a", "b")
    assert several(text)([]) == ()


def test_every_invalid_element_of_a_list_is_reported() -> None:
    with pytest.raises(InvalidValueError) as caught:
        several(text)([1, "good", ""])

    assert [problem.key_path for problem in caught.value.problems] == [(0,), (2,)]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "true"),
        ("a\x1b[31m", r"'a\x1b[31m'"),
        (0xFFFF << 64, "a number beyond 64 bits"),
        ({"a": 1}, "a table"),
        ([[1]], "a list"),
        (date(2026, 11, 22), "2026-11-22"),
    ],
)
def test_a_value_is_formatted_as_toml_with_control_characters_escaped(
    value: object, shown: str
) -> None:
    assert format_value(value) == shown


def test_a_long_value_is_truncated() -> None:
    assert len(format_value("x" * 10_000)) <= 80


@pytest.mark.parametrize(
    ("key_path", "shown"),
    [
        ((), ""),
        (("tunnels", "db", "local", 0), "tunnels.db.local[0]"),
        (("tunnels", "my db"), 'tunnels."my db"'),
        (("a.b", "\x1b"), r'"a.b"."\u001b"'),
        (("x" * 81,), '"' + "x" * 78 + "\N{HORIZONTAL ELLIPSIS}"),
    ],
)
def test_a_key_path_is_formatted_as_in_toml(key_path: KeyPath, shown: str) -> None:
    assert format_key_path(key_path) == shown
