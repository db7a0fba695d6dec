"""The syntax of tokens, without their values: tests/sshconfig/test_tokens.py has these."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.token_expansion import (
    PATH_TOKENS,
    TokenError,
    escape_percent,
    expand,
    expand_variables,
    token_letters,
)


def test_the_letters_of_a_text_are_found_without_their_values() -> None:
    assert token_letters("/run/%h-%p-%%n-${X}", PATH_TOKENS) == {"h", "p"}


@pytest.mark.parametrize(
    ("text", "message"),
    [("/%y", "unknown token %y"), ("/a%", "at the end")],
)
def test_an_invalid_text_is_rejected_before_its_expansion(text: str, message: str) -> None:
    with pytest.raises(TokenError, match=message):
        token_letters(text, PATH_TOKENS)


def test_variables_alone_leave_percent_signs() -> None:
    assert expand_variables("${A}-$A-%h-%%", {"A": "${A}%"}) == "${A}%-$A-%h-%%"
    with pytest.raises(TokenError, match="without '}'"):
        expand_variables("${A", {"A": ""})


def test_variables_are_expanded_only_with_an_environment() -> None:
    assert expand("${A}-%h", {"h": "x"}, PATH_TOKENS) == "${A}-x"
    assert expand("${A}-%h", {"h": "x"}, PATH_TOKENS, {"A": "%h"}) == "%h-x"
    with pytest.raises(TokenError, match="no variable A"):
        expand("${A}", {}, PATH_TOKENS, {})


@given(st.text(alphabet="a%h$/"))
def test_an_escaped_text_expands_to_itself(text: str) -> None:
    assert expand(escape_percent(text), {}, PATH_TOKENS, {}) == text
