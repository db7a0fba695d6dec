"""Patterns of ssh_config(5): matches, and bounded work for hostile patterns."""

import fnmatch
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.wildcards import ascii_lower, matches


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("host.co.uk", "*.co.uk", True),  # the examples of ssh_config(5), PATTERNS
        ("co.uk", "*.co.uk", False),
        ("192.168.0.7", "192.168.0.?", True),
        ("192.168.0.17", "192.168.0.?", False),
        ("", "", True),
        ("", "*", True),
        ("", "?", False),
        ("a", "", False),
        ("abc", "abc", True),
        ("abc", "ABC", False),
        ("abc", "a*c*", True),
        ("a[b]", "a[b]", True),
        ("ab", "a[b]", False),
    ],
)
def test_a_text_matches_a_pattern_as_in_ssh_config(text: str, pattern: str, expected: bool) -> None:
    assert matches(text, pattern) is expected


@given(st.text("ab.*?"), st.text("ab.*?"))
def test_matches_agrees_with_fnmatch(text: str, pattern: str) -> None:
    assert matches(text, pattern) is fnmatch.fnmatchcase(text, pattern)


def test_a_pattern_with_many_stars_matches_quickly() -> None:
    started = process_time()
    assert not matches("a" * 1000, "*a" * 500 + "b")
    assert process_time() - started < 5


def test_ascii_lower_changes_only_ascii_letters() -> None:
    assert ascii_lower("Host.Example.COM") == "host.example.com"
    assert ascii_lower("\N{KELVIN SIGN}") == "\N{KELVIN SIGN}"
