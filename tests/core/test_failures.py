"""The text of failures, and untrusted text made safe."""

from __future__ import annotations

from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.failures import NEEDS_USER_CAUSES, NO_HANDSHAKE_CAUSES, Cause, Failure
from tunnelkeeper.core.text import MESSAGE_LIMIT, printable, printable_end

NASTY = st.characters(categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"])
"""Controls, bidirectional and invisible marks, lone surrogates, no characters, line breaks."""


def test_a_failure_shows_its_cause_hop_and_message() -> None:
    failure = Failure(Cause.REFUSED, "Connection refused", hop="me@relay:22")

    assert str(failure) == "refused: me@relay:22: Connection refused"


def test_a_failure_without_a_hop_shows_only_cause_and_message() -> None:
    assert str(Failure(Cause.LOCAL_PORT_BUSY, "5432 is taken")) == "local_port_busy: 5432 is taken"


@pytest.mark.parametrize("cause", Cause)
def test_a_failure_needs_the_user_if_its_cause_does(cause: Cause) -> None:
    assert Failure(cause, "no").needs_user == (cause in NEEDS_USER_CAUSES)


def test_no_cause_both_needs_the_user_and_costs_no_handshake() -> None:
    assert not NEEDS_USER_CAUSES & NO_HANDSHAKE_CAUSES


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Permission denied", "Permission denied"),
        ("Zugriff verweigert: Schlüssel ungültig", "Zugriff verweigert: Schlüssel ungültig"),
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("up\r\n2026 db: up", "up\\r\\n2026 db: up"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}exe", "\\u202eexe"),
        ("\ud800", "\\ud800"),
        ("\N{LINE SEPARATOR}\x9b", "\\u2028\\x9b"),
        ("", ""),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_is_truncated_with_an_ellipsis() -> None:
    assert printable("x" * MESSAGE_LIMIT) == "x" * MESSAGE_LIMIT
    assert printable("x" * (MESSAGE_LIMIT + 1)) == "x" * (MESSAGE_LIMIT - 1) + "…"
    assert printable("\x00" * 3, limit=9) == "\\x00\\x00…"


def test_the_output_of_a_program_is_truncated_at_its_beginning() -> None:
    assert printable_end("warning; reason", 7) == "…reason"
    assert printable_end("reason\n", 8) == "reason\\n"
    assert printable_end("\x00" * 3, limit=9) == "…\\x00\\x00"
    assert printable_end("x" * MESSAGE_LIMIT) == "x" * MESSAGE_LIMIT


@given(text=st.text() | st.text(NASTY), limit=st.integers(1, 400))
def test_any_text_becomes_one_safe_line_within_the_limit(text: str, limit: int) -> None:
    shown = printable(text, limit)

    assert len(shown) <= limit
    assert not [c for c in shown if category(c)[0] == "C" or category(c) in {"Zl", "Zp"}]
    shown.encode()  # a lone surrogate could not be written to any file


@given(text=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=MESSAGE_LIMIT))
def test_plain_text_is_unchanged(text: str) -> None:
    assert printable(text) == text
