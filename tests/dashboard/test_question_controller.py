"""The open question: what keys and events do to it, and which requests they send."""

from __future__ import annotations

import msgspec
import pytest

from tests.dashboard.question_harness import QuestionHarness
from tests.dashboard.sample_model import NOW
from tests.dashboard.sample_questions import (
    CODES,
    FINGERPRINT,
    HOST_KEY,
    PASSPHRASE,
    TOUCH,
)
from tunnelkeeper.control.payloads import (
    Answered,
    QuestionEvent,
)
from tunnelkeeper.core.secret import Secret
from tunnelkeeper.dashboard.answering import (
    ClaimQuestion,
    LeaveQuestion,
)
from tunnelkeeper.dashboard.ui_state import Browsing

# -- opening ---------------------------------------------------------------------------------------


def test_the_question_of_the_selected_tunnel_opens_and_is_claimed() -> None:
    harness = QuestionHarness(PASSPHRASE, HOST_KEY)
    harness.model.on_event(
        QuestionEvent(msgspec.structs.replace(PASSPHRASE, tunnels=["away"])), NOW.monotonic
    )
    harness.open("stuck")

    assert harness.mode.question is HOST_KEY
    assert harness.actions == [ClaimQuestion("q2", 1)]


def test_the_oldest_question_opens_if_the_selected_tunnel_has_none() -> None:
    harness = QuestionHarness(TOUCH, PASSPHRASE, HOST_KEY)
    harness.open("db")

    assert harness.mode.question is PASSPHRASE


def test_no_question_opens_by_itself() -> None:
    harness = QuestionHarness()
    harness.ask(PASSPHRASE)
    assert isinstance(harness.ui_state.mode, Browsing)
    assert harness.actions == []


def test_without_a_question_the_key_says_so() -> None:
    harness = QuestionHarness()
    harness.open()
    assert "no question is open" in harness.lines()[-1]
    harness.ask(TOUCH)
    harness.open()
    assert "touch the security key" in harness.lines()[-1]
    assert harness.actions == []


def test_without_a_supervisor_no_question_opens() -> None:
    harness = QuestionHarness(PASSPHRASE)
    harness.model.on_disconnect("gone", NOW.monotonic)
    harness.open()

    assert "no supervisor answers" in harness.lines()[-1]
    assert isinstance(harness.ui_state.mode, Browsing)


# -- answering -------------------------------------------------------------------------------------


def test_what_is_typed_is_sent_with_the_nonce_of_the_claim_and_forgotten() -> None:
    harness = QuestionHarness(PASSPHRASE)
    harness.open()
    harness.grant()
    harness.type("gehéimx")
    harness.questions.erase()
    harness.questions.enter()
    sent = harness.sent()

    assert (sent.id, sent.attempt, sent.nonce) == ("q1", 1, "nonce")
    assert sent.answers == (Secret.from_text("gehéim"),)
    assert not harness.mode.fields[0]
    harness.questions.on_answered(sent, Answered(True))
    assert "The answer was accepted." in harness.text()
    harness.questions.enter()
    assert isinstance(harness.ui_state.mode, Browsing)


def test_an_answer_typed_before_the_claim_is_granted_is_sent_then() -> None:
    harness = QuestionHarness(PASSPHRASE)
    harness.open()
    harness.type("early")
    harness.questions.enter()
    assert harness.actions == [ClaimQuestion("q1", 1)]
    harness.grant()

    assert harness.sent().answers == (Secret(b"early"),)


def test_a_secret_is_in_no_repr_and_on_no_screen() -> None:
    harness = QuestionHarness(PASSPHRASE)
    harness.open()
    harness.grant()
    harness.type("hunter2")
    assert "hunter2" not in f"{harness.ui_state!r}{harness.model!r}{harness.text()}"
    assert "•••••••" in harness.text()
    harness.questions.enter()

    assert "hunter2" not in repr(harness.actions)


def test_a_paste_sends_nothing_and_has_one_line() -> None:
    harness = QuestionHarness(PASSPHRASE)
    harness.open()
    harness.grant()
    harness.questions.paste("pasted\r\n")
    assert harness.actions == [ClaimQuestion("q1", 1)]
    harness.questions.paste("two\nlines")
    assert "several lines" in harness.text()
    harness.questions.enter()

    assert harness.sent().answers == (Secret(b"pasted"),)


def test_an_empty_secret_is_not_sent() -> None:
    harness = QuestionHarness(PASSPHRASE)
    harness.open()
    harness.grant()
    harness.questions.enter()
    harness.questions.enter()

    assert "Nothing is typed" in harness.text()
    assert harness.actions == [ClaimQuestion("q1", 1)]


def test_an_answer_that_is_too_long_is_not_cut() -> None:
    harness = QuestionHarness(PASSPHRASE)
    harness.open()
    harness.questions.paste("x" * 4097)

    assert "too long" in harness.text()
    assert not harness.mode.fields[0]


def test_the_text_after_an_erased_wide_character_is_intact() -> None:
    harness = QuestionHarness(CODES)
    harness.open()
    harness.questions.move_focus(1)
    harness.type("1漢")
    harness.questions.erase()
    harness.type("2")

    assert harness.mode.fields[1].text() == "12"
    harness.questions.erase_all()
    assert not harness.mode.fields[1]


def test_enter_goes_to_the_next_empty_field_and_sends_from_the_last() -> None:
    harness = QuestionHarness(CODES)
    harness.open()
    harness.grant()
    harness.type("pw")
    harness.questions.enter()
    harness.type("123")
    assert "123" in harness.text()
    harness.questions.move_focus(1)
    assert harness.mode.focus == 0
    harness.questions.enter()

    assert harness.sent().answers == (Secret(b"pw"), Secret(b"123"))


def test_an_empty_code_needs_enter_twice() -> None:
    harness = QuestionHarness(CODES)
    harness.open()
    harness.grant()
    harness.type("pw")
    harness.questions.enter()
    harness.questions.enter()
    assert "Enter again sends an empty answer" in harness.text()
    harness.questions.enter()

    assert harness.sent().answers == (Secret(b"pw"), Secret(b""))


# -- host keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["yes", "YES", FINGERPRINT])
def test_a_host_key_is_accepted_by_yes_or_its_fingerprint(answer: str) -> None:
    harness = QuestionHarness(HOST_KEY)
    harness.open()
    harness.grant()
    harness.type(answer)
    harness.questions.enter()

    assert harness.sent().answers == (Secret.from_text(answer),)


@pytest.mark.parametrize("answer", ["y", "", "SHA256:other", "yes please"])
def test_nothing_else_accepts_a_host_key(answer: str) -> None:
    harness = QuestionHarness(HOST_KEY)
    harness.open()
    harness.grant()
    harness.type(answer)
    harness.questions.enter()

    assert "Type yes, no or the fingerprint" in harness.text()
    assert not harness.mode.fields[0]
    assert harness.actions == [ClaimQuestion("q2", 1)]


def test_no_refuses_a_host_key() -> None:
    harness = QuestionHarness(HOST_KEY)
    harness.open()
    harness.grant()
    harness.type("no")
    harness.questions.enter()

    assert harness.actions[-1] == LeaveQuestion("q2", decline=True)
    assert isinstance(harness.ui_state.mode, Browsing)


def test_a_key_that_can_only_be_refused_has_no_field() -> None:
    harness = QuestionHarness(msgspec.structs.replace(HOST_KEY, prompts=[]))
    harness.open()
    harness.type("yes")
    harness.questions.enter()

    assert harness.actions == []
    assert isinstance(harness.ui_state.mode, Browsing)
