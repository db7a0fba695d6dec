"""The board of questions: logins that ask, people who answer, decline and leave."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.core.questions import (
    Change,
    Changed,
    Closed,
    Kind,
    Outcome,
    Prompt,
    Question,
    QuestionError,
    Subject,
)
from tunnelkeeper.core.secret import Secret
from tunnelkeeper.questions.board import QuestionBoard
from tunnelkeeper.questions.login_dialog import AnswerNeededError, LoginDialog

if TYPE_CHECKING:
    from collections.abc import Sequence

HOP = "ann@server:22"
KEY = Subject(Kind.PASSPHRASE, "/home/ann/.ssh/id_ed25519")
CODE = (Prompt("Verification code: "),)


class Board:
    """A board with what it published and which tunnels it let retry."""

    def __init__(self) -> None:
        self.board = QuestionBoard()
        self.changes: list[Change] = []
        self.retried: list[str] = []
        self.board.retry = self.retried.append
        self.board.subscribe(self.changes.append)

    @property
    def only_question(self) -> str:
        (question,) = self.board.questions
        return question.id

    def ask(self, dialog: LoginDialog) -> asyncio.Task[Sequence[Secret]]:
        return asyncio.get_running_loop().create_task(
            dialog.ask(Kind.CODES, "the server asks", CODE, deadline=9.0)
        )

    async def live(self, tunnel: str, client: str) -> tuple[LoginDialog, asyncio.Task[object]]:
        """Let a login ask while the client attends its tunnel."""
        self.board.attend(client, {tunnel})
        dialog = self.board.dialog(HOP, tunnel)
        task = self.ask(dialog)
        await asyncio.sleep(0)
        assert self.board.questions[0].is_live
        return dialog, task


@pytest.fixture
def on() -> Board:
    return Board()


async def right(answers: Sequence[Secret]) -> str:
    return "" if answers[0].reveal() == b"right" else "the passphrase is wrong"


async def test_the_right_passphrase_lets_every_waiting_tunnel_retry(on: Board) -> None:
    for tunnel in ("db", "web"):
        on.board.post(KEY, "passphrase", (Prompt("Passphrase: "),), right, tunnel=tunnel)
    claim = on.board.claim("cli", on.only_question)
    assert claim.question.tunnels == ("db", "web")
    secret = Secret(b"right")
    verdict = await on.board.answer("cli", claim.question.id, claim.nonce, [secret])
    assert verdict.accepted
    assert on.retried == ["db", "web"]
    assert on.board.questions == ()
    assert not secret, "the answer was not wiped"


async def test_a_wrong_passphrase_is_asked_again_with_the_reason(on: Board) -> None:
    on.board.post(KEY, "passphrase", (Prompt("Passphrase: "),), right, tunnel="db")
    first = on.board.claim("cli", on.only_question)
    verdict = await on.board.answer("cli", first.question.id, first.nonce, [Secret(b"wrong")])
    assert (verdict.accepted, verdict.problem) == (False, "the passphrase is wrong")
    (question,) = on.board.questions
    assert (question.attempt, question.problem) == (2, "the passphrase is wrong")
    assert question.tunnels == ("db",)
    assert on.retried == []


async def test_a_login_without_a_person_does_not_wait(on: Board) -> None:
    dialog = on.board.dialog(HOP, "db")
    with pytest.raises(AnswerNeededError) as raised:
        await dialog.ask(Kind.CODES, "the server asks", CODE, deadline=9.0)
    (question,) = on.board.questions
    assert raised.value.question_id == question.id
    assert (question.is_live, question.prompts, question.tunnels) == (False, (), ("db",))


async def test_a_claim_starts_the_login_and_its_answer_reaches_it(on: Board) -> None:
    with pytest.raises(AnswerNeededError):
        await on.board.dialog(HOP, "db").ask(Kind.CODES, "the server asks", CODE, deadline=9.0)
    on.board.claim("cli", on.only_question)
    assert on.retried == ["db"]
    dialog = on.board.dialog(HOP, "db")
    login = on.ask(dialog)
    await asyncio.sleep(0)
    claim = on.board.claim("cli", on.only_question)
    assert claim.question.is_live
    verdict = await on.board.answer("cli", claim.question.id, claim.nonce, [Secret(b"123456")])
    assert verdict.accepted is None
    assert [answer.reveal() for answer in await login] == [b"123456"]
    dialog.succeeded()
    assert on.board.questions == ()
    assert isinstance(on.changes[-1], Closed)


async def test_a_second_login_on_the_same_host_does_not_ask_beside_the_first(on: Board) -> None:
    first, task = await on.live("db", "cli")
    with pytest.raises(AnswerNeededError, match="another login"):
        await on.board.dialog(HOP, "web").ask(Kind.CODES, "the server asks", CODE, deadline=9.0)
    assert on.board.questions[0].tunnels == ("db", "web")
    claim = on.board.claim("cli", on.only_question)
    await on.board.answer("cli", claim.question.id, claim.nonce, [Secret(b"1")])
    await task
    first.succeeded()
    (rest,) = on.board.questions
    assert (rest.tunnels, rest.is_live) == (("web",), False)


async def test_a_remembered_answer_lets_the_others_log_in(on: Board) -> None:
    first, task = await on.live("db", "cli")
    with pytest.raises(AnswerNeededError):
        await on.board.dialog(HOP, "web").ask(Kind.PASSWORD, "password", CODE, deadline=9.0)
    claim = on.board.claim("cli", on.only_question)
    await on.board.answer("cli", claim.question.id, claim.nonce, [Secret(b"1")])
    await task
    first.succeeded(is_remembered=True)
    assert on.board.questions == ()
    assert on.retried == ["web"]


@pytest.mark.parametrize("way", ["disconnect", "decline"])
async def test_a_login_ends_when_the_last_person_leaves(on: Board, way: str) -> None:
    dialog, task = await on.live("db", "cli")
    if way == "disconnect":
        on.board.disconnect("cli")
    else:
        on.board.decline("cli", on.only_question)
    with pytest.raises(AnswerNeededError):
        await task
    dialog.ended("the question was declined")
    (question,) = on.board.questions
    assert (question.is_live, question.problem) == (False, "the question was declined")


async def test_a_login_continues_while_another_person_is_there(on: Board) -> None:
    on.board.attend("dashboard", None)
    _, task = await on.live("db", "cli")
    on.board.disconnect("cli")
    await asyncio.sleep(0)
    assert not task.done()
    claim = on.board.claim("dashboard", on.only_question)
    await on.board.answer("dashboard", claim.question.id, claim.nonce, [Secret(b"1")])
    await task


async def test_a_stopped_tunnel_takes_its_question_with_it(on: Board) -> None:
    on.board.post(KEY, "passphrase", (Prompt("Passphrase: "),), right, tunnel="db")
    on.board.wait("db", ())
    assert on.board.questions == ()
    assert on.changes[-1] == Closed(on.changes[-1].question, Outcome.NOT_NEEDED)


async def test_a_touch_is_shown_while_it_is_awaited(on: Board) -> None:
    with on.board.touch_notice(HOP, "waiting for a touch", "db"):
        (question,) = on.board.questions
        assert (question.subject.kind, question.is_answerable) == (Kind.TOUCH, False)
    assert [type(change) for change in on.changes] == [Changed, Closed]


async def test_a_touch_is_shown_until_the_last_tunnel_has_it(on: Board) -> None:
    seen: list[Question] = []
    with on.board.touch_notice(HOP, "waiting for a touch", "db"):
        with on.board.touch_notice(HOP, "waiting for a touch", "web"):
            seen += on.board.questions
        seen += on.board.questions
    assert [question.tunnels for question in seen] == [("db", "web"), ("db",)]
    assert on.board.questions == ()


async def test_a_tunnel_whose_person_is_there_joins_a_question_and_logs_in(on: Board) -> None:
    with pytest.raises(AnswerNeededError):
        await on.board.dialog(HOP, "db").ask(Kind.CODES, "the server asks", CODE, deadline=9.0)
    on.board.attend("cli", {"web"})
    on.board.wait("web", {on.only_question})  # its jump host failed for "db", which it shares
    assert on.retried == ["web"]
    on.board.wait("web", {on.only_question})
    assert on.retried == ["web"], "a person who declined is asked again"


async def test_the_next_tunnel_of_the_same_person_logs_in_after_the_first(on: Board) -> None:
    on.board.attend("cli", {"db", "web"})
    first = on.board.dialog(HOP, "db")
    first.admit(Kind.CODES, "the server asks")
    second = on.board.dialog(HOP, "web")
    with pytest.raises(AnswerNeededError, match="another login"):
        second.admit(Kind.CODES, "the server asks")
    assert on.retried == []
    first.succeeded()
    assert on.retried == ["web"]
    second.admit(Kind.CODES, "the server asks")


async def test_a_login_that_failed_unasked_lets_the_next_one_ask(on: Board) -> None:
    on.board.attend("cli", {"db", "web"})
    first = on.board.dialog(HOP, "db")
    first.admit(Kind.CODES, "the server asks")
    with pytest.raises(AnswerNeededError, match="another login"):
        on.board.dialog(HOP, "web").admit(Kind.CODES, "the server asks")
    first.ended()
    assert on.retried == ["web"]


async def test_without_a_person_the_question_has_the_problem(on: Board) -> None:
    dialog = on.board.dialog(HOP, "db")
    with pytest.raises(AnswerNeededError, match="no person is present"):
        dialog.admit(Kind.PASSWORD, "a password is needed", "the stored password was refused")
    (question,) = on.board.questions
    assert (question.problem, question.is_live) == ("the stored password was refused", False)


async def test_a_person_who_left_before_the_question_is_not_waited_for(on: Board) -> None:
    on.board.attend("cli", {"db"})
    dialog = on.board.dialog(HOP, "db")
    dialog.admit(Kind.CODES, "the server asks")
    on.board.disconnect("cli")
    with pytest.raises(AnswerNeededError, match="no person is present"):
        await dialog.ask(Kind.CODES, "the server asks", CODE, deadline=9.0)


async def test_an_answer_between_two_connections_of_a_login_is_refused(on: Board) -> None:
    dialog, task = await on.live("db", "cli")
    claim = on.board.claim("cli", on.only_question)
    task.cancel()  # its connection was lost, and the login begins again
    await asyncio.wait([task])
    with pytest.raises(QuestionError, match="no login waits"):
        await on.board.answer("cli", claim.question.id, claim.nonce, [Secret(b"1")])
    dialog.ended()


async def test_a_claim_before_the_tunnel_waits_starts_a_login_all_the_same(on: Board) -> None:
    with pytest.raises(AnswerNeededError) as needed:
        await on.board.dialog(HOP, "db").ask(Kind.CODES, "the server asks", CODE, deadline=9.0)
    on.board.claim("cli", on.only_question)  # its attempt has not ended: the retry is lost
    assert on.retried == ["db"]
    on.board.wait("db", {needed.value.question_id})
    assert on.retried == ["db", "db"]
    dialog, task = await on.live("db", "cli")
    retried = list(on.retried)
    on.board.decline("cli", on.only_question)
    with pytest.raises(AnswerNeededError):
        await task
    dialog.ended()
    on.board.wait("db", {on.only_question})
    assert on.retried == retried, "the login was asked for once"


async def test_an_early_claim_counts_only_while_its_person_is_there(on: Board) -> None:
    with pytest.raises(AnswerNeededError):
        await on.board.dialog(HOP, "db").ask(Kind.CODES, "the server asks", CODE, deadline=9.0)
    on.board.claim("cli", on.only_question)
    on.board.disconnect("cli")
    on.board.wait("db", {on.only_question})
    assert on.retried == ["db"]


async def test_a_client_that_keeps_a_closed_question_can_leave(on: Board) -> None:
    question = on.board.post(KEY, "passphrase", CODE, right)
    on.board.withdraw(KEY)
    on.board.keep("cli", question)
    _, task = await on.live("db", "cli")
    on.board.disconnect("cli")
    with pytest.raises(AnswerNeededError):
        await task


@pytest.mark.parametrize("way", ["disconnect", "decline"])
async def test_a_kept_question_ends_with_the_last_client_that_can_answer_it(
    on: Board, way: str
) -> None:
    question = on.board.post(KEY, "passphrase", CODE, right)
    on.board.keep("unlock", question)
    on.board.claim("dashboard", question)
    on.board.disconnect("unlock")
    assert on.board.questions
    if way == "disconnect":
        on.board.disconnect("dashboard")
    else:
        on.board.decline("dashboard", question)
    assert on.board.questions == ()


async def test_answers_that_are_not_accepted_are_wiped(on: Board) -> None:
    question = on.board.post(KEY, "passphrase", CODE, right, tunnel="db")
    for nonce in ("", on.board.claim("cli", question).nonce):
        secrets = [Secret(b"right"), Secret(b"more")]
        with pytest.raises(QuestionError):
            await on.board.answer("cli", question, nonce, secrets)
        assert not any(secrets)


async def test_answers_to_a_login_that_was_cancelled_are_wiped(on: Board) -> None:
    _, task = await on.live("db", "cli")
    claim = on.board.claim("cli", on.only_question)
    secret = Secret(b"123456")
    await on.board.answer("cli", claim.question.id, claim.nonce, [secret])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not secret


async def test_an_answer_that_cannot_be_tried_now_is_asked_for_again(on: Board) -> None:
    async def exhausted(_answers: Sequence[Secret]) -> str:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    question = on.board.post(KEY, "passphrase", CODE, exhausted, tunnel="db")
    claim = on.board.claim("cli", question)
    secret = Secret(b"right")
    verdict = await on.board.answer("cli", question, claim.nonce, [secret])
    assert (verdict.accepted, bool(secret)) == (False, False)
    assert "could not be tried: " in verdict.problem
    assert on.board.questions[0].attempt == 2
