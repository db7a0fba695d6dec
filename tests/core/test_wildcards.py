"""Patterns of ssh_config(5): what fits, and how little work a hostile pattern can make."""

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
def test_a_text_fits_a_pattern_as_ssh_config_says(text: str, pattern: str, expected: bool) -> None:
    assert matches(text, pattern) is expected


@given(st.text("ab.*?"), st.text("ab.*?"))
def test_it_agrees_with_the_shells_wildcards(text: str, pattern: str) -> None:
    assert matches(text, pattern) is fnmatch.fnmatchcase(text, pattern)


def test_a_pattern_of_many_stars_costs_little() -> None:
    started = process_time()
    assert not matches("a" * 1000, "*a" * 500 + "b")
    assert process_time() - started < 5


def test_only_ascii_case_is_no_difference() -> None:
    assert ascii_lower("Host.Example.COM") == "host.example.com"
    assert ascii_lower("\N{KELVIN SIGN}") == "\N{KELVIN SIGN}"
