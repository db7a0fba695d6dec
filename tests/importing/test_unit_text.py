from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.importing.environment_file import parse_environment_file
from tunnelkeeper.importing.source_commands import UnreadableError
from tunnelkeeper.importing.unit_quoting import split_commands, split_variable, split_words
from tunnelkeeper.importing.unit_text import parse_unit
from tunnelkeeper.systemd.quoting import UnquotableError, quote_command

# -- lines -----------------------------------------------------------------------------------------


def test_an_empty_value_resets_the_list() -> None:
    unit = parse_unit("[Service]\nExecStart=a\nExecStart=\nExecStart = b \nExecStart=c\n")

    assert unit.values("Service", "ExecStart") == ["b", "c"]
    assert unit.value("Service", "ExecStart") == "c"


def test_a_key_belongs_to_its_section() -> None:
    unit = parse_unit("User=x\n[Unit]\nUser=y\n[Service]\nUser=z\n[X-Service]\nUser=q\n")

    assert unit.values("Service", "User") == ["z"]


def test_a_backslash_continues_with_the_next_line_that_is_not_a_comment() -> None:
    text = "[Service]\nA=one \\\n# no\n  two\\\n;no\n\nB=\\\\\nC=end \\"
    unit = parse_unit(text)

    assert [unit.value("Service", key) for key in "ABC"] == ["one  two", "\\\\", "end"]


@given(st.text())
def test_any_text_is_accepted(text: str) -> None:
    for assignment in parse_unit(text).assignments:
        assert "\n" not in assignment.key + assignment.value


# -- words -----------------------------------------------------------------------------------------

WRITABLE = st.text(st.characters(blacklist_categories=["Cs", "Cc"]))


@given(st.lists(WRITABLE))
def test_words_quoted_for_our_own_units_are_parsed_back(words: list[str]) -> None:
    try:
        line = quote_command(["/bin/true", *words]).removeprefix(":")
    except UnquotableError:
        return

    assert split_commands(line) == [["/bin/true", *(word.replace("%", "%%") for word in words)]]


@given(st.text(st.sampled_from("ab \\\"';xu0412 \t")))
def test_any_value_is_split_or_refused(text: str) -> None:
    assert isinstance(split_variable(text), list)
    with suppress(UnreadableError):
        words = split_words(text)
        if ";" not in text:
            assert split_commands(text) == ([words] if words else [])


def test_a_separate_semicolon_ends_a_command() -> None:
    assert split_commands(r"a b ; c ';' \; d;e ;") == [["a", "b"], ["c", ";", ";", "d;e"]]


@pytest.mark.parametrize("value", [r"\q", r"\x0", r"\x00", r"\ud800", "'open", 'o"pen', "\\"])
def test_a_value_with_a_syntax_error_is_refused(value: str) -> None:
    with pytest.raises(UnreadableError):
        split_words(value)


def test_escapes_are_decoded_as_in_c() -> None:
    assert split_words(r"\x41\102\u00e9\U0001f600\s\t\\ \"a\'") == [
        "AB\u00e9\U0001f600 \t\\",
        "\"a'",
    ]


# -- environment files -----------------------------------------------------------------------------


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_][A-Z0-9_]*", fullmatch=True),
        st.text(st.sampled_from("ab #;='$`\\\"\n\t")),
    )
)
def test_a_quoted_value_is_parsed_back(variables: dict[str, str]) -> None:
    def quoted(value: str) -> str:
        return '"' + "".join(f"\\{c}" if c in '"\\`$' else c for c in value) + '"'

    text = "".join(f"{name}={quoted(value)}\n" for name, value in variables.items())

    assert parse_environment_file(text) == variables


@given(st.text())
def test_any_text_is_accepted_as_an_environment_file(text: str) -> None:
    for name in parse_environment_file(text):
        assert name.isidentifier()
