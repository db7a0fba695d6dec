import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.sshconfig.ssh_g_output import (
    get_flag,
    get_value,
    get_values,
    parse_output,
    split_paths,
)


def test_each_line_is_a_keyword_and_a_value_and_keywords_may_repeat() -> None:
    text = "user ann\nidentityfile ~/.ssh/a b\nidentityfile c\ncanonicalizePermittedcnames none\n"

    assert parse_output(text) == {
        "user": ["ann"],
        "identityfile": ["~/.ssh/a b", "c"],
        "canonicalizepermittedcnames": ["none"],
    }


def test_a_value_keeps_its_quotes_tabs_and_double_spaces() -> None:
    answer = parse_output("proxycommand nc\t-x 'a  b' \"c\" # %h\nhost \n")

    assert answer == {"proxycommand": ["nc\t-x 'a  b' \"c\" # %h"], "host": [""]}


def test_percent_signs_in_an_expanded_value_are_escaped() -> None:
    answer = parse_output("userknownhostsfile /k/fe80::1%eth0\nidentityfile ~/%h")

    assert answer["userknownhostsfile"] == ["/k/fe80::1%%eth0"]
    assert answer["identityfile"] == ["~/%h"]


@given(st.text())
def test_any_text_can_be_parsed(text: str) -> None:
    for keyword, values in parse_output(text).items():
        assert keyword
        assert values


@pytest.mark.parametrize("value", ["none", "NONE", ""])
def test_none_means_no_value(value: str) -> None:
    assert get_value({"proxyjump": [value]}, "proxyjump") is None
    assert get_values({"identityfile": [value, "a"]}, "identityfile") == ("a",)


def test_a_keyword_that_ssh_does_not_print_has_no_value() -> None:
    assert get_value({}, "proxyjump") is None
    assert get_values({}, "identityfile") == ()


def test_duplicates_are_dropped_in_favour_of_the_first() -> None:
    assert get_values({"identityfile": ["b", "a", "b"]}, "identityfile") == ("b", "a")


@pytest.mark.parametrize(
    ("value", "on"), [("yes", True), ("true", True), ("no", False), ("false", False)]
)
def test_a_flag_is_yes_or_true(value: str, on: bool) -> None:
    assert get_flag({"compression": [value]}, "compression", default=not on) is on


@pytest.mark.parametrize("default", [True, False])
def test_a_missing_flag_has_its_default(default: bool) -> None:
    assert get_flag({}, "compression", default=default) is default


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (None, ()),
        ("none", ()),
        ("/a /b", ("/a", "/b")),
        ("/a /b /a", ("/a", "/b")),
        ("~/.ssh/a ~/.ssh/b", ("~/.ssh/a", "~/.ssh/b")),
        ("/Library/Application Support/a /b c d", ("/Library/Application Support/a", "/b c d")),
        ("a b /c", ("a", "b", "/c")),
    ],
)
def test_a_list_of_paths_is_split_where_a_path_begins(
    printed: str | None, expected: tuple[str, ...]
) -> None:
    assert split_paths(printed) == expected
