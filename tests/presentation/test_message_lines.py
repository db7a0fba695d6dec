from __future__ import annotations

from tunnelkeeper.core.message import HINT_LABEL, Message
from tunnelkeeper.presentation.message_lines import wrap_message

COMMAND = "tunnelkeeper forward me@relay.example.com -L 5432:db.internal:5432 --for 1h"


def test_a_message_and_its_hint_are_wrapped_at_blanks() -> None:
    message = Message("cannot reach the server at this address", "ask the administrator of it")

    assert wrap_message(message, 24) == [
        "cannot reach the server",
        "    at this address",
        "  hint: ask the",
        "        administrator of",
        "        it",
    ]


def test_without_a_terminal_a_message_and_its_hint_have_a_line_each() -> None:
    text, hint = "cannot reach " * 20, "ask " * 40

    assert wrap_message(Message(text, hint), None) == [text, HINT_LABEL + hint]


def test_a_hint_that_is_a_command_stays_on_one_line_to_be_pasted() -> None:
    assert wrap_message(Message("it ended", COMMAND), 30) == ["it ended", HINT_LABEL + COMMAND]


def test_the_lines_of_a_message_stay_lines() -> None:
    assert wrap_message(Message("it ended; its output:\n  one\n  two"), 80) == [
        "it ended; its output:",
        "  one",
        "  two",
    ]
