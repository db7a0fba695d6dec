"""The open question, while the supervisor and other clients change it."""

from __future__ import annotations

import msgspec
import pytest

from tests.dashboard.question_harness import QuestionHarness, again
from tests.dashboard.sample_model import NOW, STUCK
from tests.dashboard.sample_questions import (
    CODES,
    HOST_KEY,
    PASSPHRASE,
    RESTING,
)
from tunnelkeeper.control.payloads import (
    Answered,
    Claimed,
    TunnelEvent,
)
from tunnelkeeper.core.secret import Secret
from tunnelkeeper.dashboard.answering import (
    AnswerQuestion,
    ClaimQuestion,
    LeaveQuestion,
)
from tunnelkeeper.dashboard.ui_state import Browsing

# -- what happens meanwhile ------------------------------------------------------------------------


@pytest.mark.parametrize("is_event_first", [True, False])
def test_a_wrong_answer_shows_the_problem_and_an_empty_field(is_event_first: bool) -> None:
    harness = QuestionHarness(PASSPHRASE)
    harness.open()
    harness.grant()
    harness.type("wrong")
    harness.questions.enter()
    sent = harness.sent()
    event, verdict = again(PASSPHRASE, problem="wrong passphrase"), Answered(False, "wrong pass")
    if is_event_first:
        harness.ask(event)
        harness.questions.on_answered(sent, verdict)
    else:
        harness.questions.on_answered(sent, verdict)
        harness.ask(event)

    assert "Wrong passphrase" in harness.text()
    assert not harness.mode.fields[0]
    harness.grant()
    harness.type("right")
    harness.questions.enter()
    assert harness.sent().attempt == 2
    assert harness.sent().answers == (Secret(b"right"),)


def test_what_was_typed_is_not_the_answer_to_a_question_that_is_asked_again() -> None:
    harness = QuestionHarness(PASSPHRASE)
    harness.open()
    harness.grant()
    old = harness.mode
    harness.type("typed")
    harness.ask(again(PASSPHRASE))

    assert "asked again; press Enter" in harness.text()
    assert harness.actions[-1] == ClaimQuestion("q1", 2)
    harness.type(" the rest")
    harness.questions.paste("pasted")
    assert not old.fields[0]
    assert not harness.mode.fields[0]
    harness.grant()
    harness.questions.enter()
    assert "asked again" not in harness.text()
    harness.type("new")
    harness.questions.enter()
    assert harness.sent().answers == (Secret(b"new"),)


def test_what_is_typed_while_no_field_takes_it_is_dropped() -> None:
    harness = QuestionHarness(RESTING)
    harness.open()
    harness.questions.enter()
    harness.type("ahe")
    harness.ask(CODES)
    harness.type("ad")
    assert not any(harness.mode.fields)
    harness.questions.enter()
    harness.type("pw")

    assert harness.mode.fields[0].text() == "pw"


def test_a_claim_that_an_earlier_attempt_made_gives_no_right_to_answer() -> None:
    harness = QuestionHarness(PASSPHRASE)
    harness.open()
    claim = harness.actions[-1]
    assert isinstance(claim, ClaimQuestion)
    harness.ask(again(PASSPHRASE))
    harness.questions.on_claimed(claim, Claimed(again(PASSPHRASE), "old"))
    assert harness.mode.nonce == ""
    harness.grant()
    assert harness.mode.nonce == "nonce"


def test_a_question_that_another_client_answers_stays_until_a_key_closes_it() -> None:
    harness = QuestionHarness(PASSPHRASE)
    harness.open()
    harness.type("xs")
    harness.close(PASSPHRASE, "answered")
    assert "answered by another client" in harness.text()
    assert harness.actions[-1] == LeaveQuestion("q1", decline=False)
    harness.type("xs")
    assert harness.stage == "done"
    harness.questions.escape()

    assert isinstance(harness.ui_state.mode, Browsing)
    assert not any(isinstance(action, AnswerQuestion) for action in harness.actions)


def test_a_question_that_is_not_needed_any_more_says_so() -> None:
    harness = QuestionHarness(PASSPHRASE)
    harness.open()
    harness.close(PASSPHRASE, "not_needed")

    assert "No tunnel waits for the answer" in harness.text()


def test_a_supervisor_that_ends_takes_the_question_with_it() -> None:
    harness = QuestionHarness(PASSPHRASE)
    harness.open()
    harness.type("secret")
    mode = harness.mode
    harness.model.on_disconnect("gone", NOW.monotonic)
    harness.questions.sync()

    assert "The supervisor is gone" in harness.text()
    assert not mode.fields[0]
    assert "press A" not in harness.text()


def test_a_broken_connection_ends_the_question() -> None:
    harness = QuestionHarness(PASSPHRASE)
    harness.open()
    claim = harness.actions[-1]
    assert isinstance(claim, ClaimQuestion)
    harness.questions.on_lost(claim, "the supervisor does not answer")

    assert "The supervisor does not answer." in harness.text()


def test_a_refused_answer_is_claimed_again_before_the_next_one() -> None:
    harness = QuestionHarness(PASSPHRASE)
    harness.open()
    harness.grant()
    harness.type("a")
    harness.questions.enter()
    harness.questions.on_refused(harness.sent(), "another answer is being tried")
    assert "Another answer is being tried" in harness.text()
    harness.type("b")
    harness.questions.enter()
    assert harness.actions[-1] == ClaimQuestion("q1", 2)
    harness.grant()

    assert harness.sent().answers == (Secret(b"b"),)


def test_escape_declines_and_forgets_what_was_typed() -> None:
    harness = QuestionHarness(PASSPHRASE)
    harness.open()
    harness.grant()
    harness.type("x")
    mode = harness.mode
    harness.questions.escape()

    assert harness.actions[-1] == LeaveQuestion("q1", decline=True)
    assert not mode.fields[0]
    assert isinstance(harness.ui_state.mode, Browsing)


def test_an_event_does_not_cover_an_open_question() -> None:
    harness = QuestionHarness(PASSPHRASE)
    harness.open()
    harness.controller.show_result("reload failed", "tunnels.toml:1: broken", is_error=True)

    assert harness.mode.question is PASSPHRASE


# -- several questions -----------------------------------------------------------------------------


def test_the_next_question_opens_only_on_a_key() -> None:
    harness = QuestionHarness(PASSPHRASE, HOST_KEY)
    harness.open()
    assert "question 1 of 2" in harness.text()
    harness.grant()
    harness.type("x")
    harness.questions.enter()
    harness.close(PASSPHRASE, "answered")
    assert "The answer was accepted. 1 question is open: Ctrl-N shows the next." in harness.text()
    harness.type("xA")
    assert harness.mode.question is PASSPHRASE
    harness.questions.open_next()

    assert harness.mode.question is HOST_KEY


def test_a_question_can_be_left_for_the_next_one() -> None:
    harness = QuestionHarness(PASSPHRASE, HOST_KEY)
    harness.open()
    for expected in (HOST_KEY, PASSPHRASE):
        left = harness.mode.question.id
        harness.questions.open_next()
        assert harness.actions[-2] == LeaveQuestion(left, decline=True)
        assert harness.mode.question is expected
    harness.close(HOST_KEY, "answered")
    harness.questions.open_next()

    assert "no other question" in harness.lines()[-1]


# -- logins ----------------------------------------------------------------------------------------


def test_enter_starts_the_login_of_a_resting_question() -> None:
    harness = QuestionHarness(RESTING)
    harness.open()
    assert "Log in now? Enter starts the login." in harness.text()
    assert harness.actions == []
    harness.type("x")
    harness.questions.enter()
    harness.grant()
    assert "Logging in" in harness.text()
    harness.ask(CODES)
    assert "The login ends in 90 s." in harness.text()
    harness.grant()
    harness.type("a")
    harness.questions.enter()
    harness.type("b")
    harness.questions.enter()
    harness.questions.on_answered(harness.sent(), Answered(None))
    assert "waiting for the result" in harness.text()
    harness.close(CODES, "answered")

    assert "The answer was accepted." in harness.text()


def test_a_login_that_the_server_ends_can_be_started_again() -> None:
    harness = QuestionHarness(RESTING)
    harness.open()
    harness.questions.enter()
    harness.ask(CODES)
    harness.ask(msgspec.structs.replace(RESTING, attempt=3, problem="the server refused it"))

    assert "The server refused it" in harness.text()
    assert "Enter starts the login" in harness.text()


def test_a_login_that_fails_before_it_asks_shows_why() -> None:
    harness = QuestionHarness(RESTING)
    harness.open()
    harness.questions.enter()
    harness.questions.sync()
    assert harness.stage == "starting"
    for tunnel in (msgspec.structs.replace(STUCK, state="connecting"), STUCK):
        harness.model.on_event(TunnelEvent(tunnel), NOW.monotonic)
        harness.questions.sync()

    assert harness.stage == "resting"
    assert "Connection refused" in harness.text()
