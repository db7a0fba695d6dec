"""Messages and hints as lines."""

from __future__ import annotations

from tunnelkeeper.core.message import HINT_LABEL, HintedError, Message


def test_a_hint_is_a_line_of_its_own_below_the_message() -> None:
    assert Message("refused", "ssh-add /k").lines == ["refused", "  hint: ssh-add /k"]
    assert str(Message("refused", "ssh-add /k")) == "refused\n  hint: ssh-add /k"


def test_a_message_without_a_hint_is_one_line() -> None:
    assert Message("refused").lines == ["refused"]


def test_a_name_of_a_server_in_a_hint_cannot_begin_a_line() -> None:
    _, hint = Message("refused", "ssh-copy-id me@\x1b[2J\nup").lines

    assert hint == f"{HINT_LABEL}ssh-copy-id me@\\x1b[2J\\nup"


def test_a_subject_is_put_in_front_of_the_text_only() -> None:
    assert Message("refused", "wait").about("db").lines == ["db: refused", "  hint: wait"]


def test_an_error_has_its_hint_apart_from_its_text() -> None:
    error = HintedError("refused", "wait")

    assert (str(error), error.hint) == ("refused", "wait")
