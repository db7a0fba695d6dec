"""The person at the terminal of a program without a supervisor."""

from __future__ import annotations

import asyncio
import select
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.ssh.waiting import until
from tunnelkeeper.core.questions import Kind, Prompt, Subject
from tunnelkeeper.core.secret import Secret
from tunnelkeeper.oneshot.person import answering
from tunnelkeeper.questions.board import QuestionBoard
from tunnelkeeper.questions.login_dialog import AnswerNeededError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from tunnelkeeper.core.snapshot import QuestionSnapshot
    from tunnelkeeper.oneshot.person import Answerer

KEY = Subject(Kind.PASSPHRASE, "/k")
PROMPT = (Prompt("Passphrase:"),)
DEADLINE = 30.0


async def check(answers: Sequence[Secret]) -> str:
    return "" if answers[0].reveal() == b"right" else "it is wrong"


class Asked:
    """A board and the person who answers what it asks."""

    def __init__(self, person: Answerer, board: QuestionBoard) -> None:
        self.person = person
        self.board = board

    def post(self) -> str:
        return self.board.post(KEY, "It is asked.", PROMPT, check, tunnel="t")


@asynccontextmanager
async def asked(
    ask: Callable[[QuestionSnapshot, int], list[Secret] | None], left: list[str]
) -> AsyncIterator[Asked]:
    board = QuestionBoard()
    async with asyncio.TaskGroup() as tasks, answering(board, ask, tasks, left.append) as person:
        assert person is not None
        yield Asked(person, board)


async def test_a_right_answer_lets_the_caller_try_again() -> None:
    typed = iter([b"wrong", b"right"])
    seen: list[str] = []

    def ask(question: QuestionSnapshot, _watched: int) -> list[Secret]:
        seen.append(question.problem)
        return [Secret(next(typed))]

    left: list[str] = []
    async with asked(ask, left) as on:
        async with asyncio.timeout(DEADLINE):
            assert await on.person.wait_answered(on.post())
    assert (seen, left) == (["", "it is wrong"], [])


@pytest.mark.parametrize(("answer", "times"), [(None, 1), (b"wrong", 3)])
async def test_an_unanswered_question_is_left_alone(answer: bytes | None, times: int) -> None:
    asked_times = 0

    def ask(_question: QuestionSnapshot, _watched: int) -> list[Secret] | None:
        nonlocal asked_times
        asked_times += 1
        return None if answer is None else [Secret(answer)]

    left: list[str] = []
    async with asked(ask, left) as on:
        question = on.post()
        async with asyncio.timeout(DEADLINE):
            assert not await on.person.wait_answered(question)
    assert (left, asked_times) == ([question], times)


async def test_a_question_that_lapses_ends_the_reading() -> None:
    lapsed = False

    def ask(_question: QuestionSnapshot, watched: int) -> None:
        nonlocal lapsed
        lapsed = bool(select.select([watched], [], [], DEADLINE)[0])

    left: list[str] = []
    async with asked(ask, left) as on:
        on.post()
        await until(lambda: on.board.questions[0].claimed)
        on.board.withdraw(KEY)
        await until(lambda: lapsed)
    assert left == []


async def test_a_question_that_is_asked_again_while_it_is_shown_is_answered_then() -> None:
    times = 0

    def ask(question: QuestionSnapshot, watched: int) -> list[Secret] | None:
        nonlocal times
        times += 1
        is_lapsed = bool(select.select([watched], [], [], DEADLINE if times == 1 else 0)[0])
        return None if is_lapsed else [Secret(question.attempt.to_bytes())]

    left: list[str] = []
    async with asked(ask, left) as on, asyncio.timeout(DEADLINE):
        dialog = on.board.dialog("ann@server:22", "t")
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(dialog.ask(Kind.CODES, "one", PROMPT, deadline=9e9))
            await until(lambda: on.board.questions and on.board.questions[0].claimed)
            first.cancel()  # the network has changed, and its login connects again
        (answer,) = await dialog.ask(Kind.CODES, "two", PROMPT, deadline=9e9)
        assert answer.reveal() == b"\x02"
        dialog.succeeded()
    assert (left, times) == ([], 2)


async def test_the_end_of_the_program_ends_the_reading() -> None:
    ended = False

    def ask(_question: QuestionSnapshot, watched: int) -> None:
        nonlocal ended
        ended = bool(select.select([watched], [], [], DEADLINE)[0])

    async with asked(ask, []) as on:
        on.post()
        await until(lambda: on.board.questions[0].claimed)
    assert ended


async def test_a_login_asks_the_person_who_is_there() -> None:
    def ask(question: QuestionSnapshot, _watched: int) -> list[Secret]:
        return [Secret(prompt.text.encode()) for prompt in question.prompts]

    async with asked(ask, []) as on, asyncio.timeout(DEADLINE):
        dialog = on.board.dialog("ann@server:22", "t")
        answers = await dialog.ask(Kind.CODES, "text", (Prompt("a"), Prompt("b")), deadline=9e9)
        assert [answer.reveal() for answer in answers] == [b"a", b"b"]
        dialog.succeeded()


ASKPASS = """#!/bin/sh
case "$SSH_ASKPASS_PROMPT" in confirm) exit 0 ;; esac
cat "$(dirname "$0")/answer"
"""


@pytest.mark.parametrize("answer", ["right", None])
async def test_without_a_terminal_the_program_of_the_desktop_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    program = tmp_path / "askpass"
    program.write_text(ASKPASS)
    program.chmod(0o700)
    if answer is not None:
        (tmp_path / "answer").write_text(answer)
    monkeypatch.setenv("SSH_ASKPASS", str(program))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    board, left = QuestionBoard(), list[str]()
    async with asyncio.TaskGroup() as tasks, answering(board, None, tasks, left.append) as person:
        assert person is not None
        question = board.post(KEY, "It is asked.", PROMPT, check, tunnel="t")
        assert person.will_answer(question)
        assert await person.wait_answered(question) is (answer is not None)
        assert left == ([] if answer is not None else [question])
        with pytest.raises(AnswerNeededError) as needed:
            board.dialog("ann@server:22", "t").admit(Kind.CODES, "it asks")
        assert await person.wait_answered(needed.value.question_id)
        dialog = board.dialog("ann@server:22", "t")
        asking = dialog.ask(Kind.CODES, "it asks", PROMPT, deadline=9.0)
        if answer is not None:
            assert [each.reveal() for each in await asking] == [b"right"]
            return
        with pytest.raises(AnswerNeededError):
            await asking
        dialog.ended()
        assert not await person.wait_answered(needed.value.question_id)
