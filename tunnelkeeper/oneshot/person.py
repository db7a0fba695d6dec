"""The person who uses a program without a supervisor, as a client of its questions.

The terminal asks, or a program such as ssh-askpass without one.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.core.questions import (
    MAX_WRONG,
    Change,
    Changed,
    Closed,
    Kind,
    Outcome,
    Question,
    QuestionError,
)
from tunnelkeeper.core.secret import wipe
from tunnelkeeper.questions.askpass import AskPass, program_of_environment
from tunnelkeeper.tunnel.snapshots import question_snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tunnelkeeper.core.secret import Secret
    from tunnelkeeper.core.snapshot import QuestionSnapshot
    from tunnelkeeper.questions.board import QuestionBoard

    Ask = Callable[[QuestionSnapshot, int], list[Secret] | None]
    """Shows a question and reads an answer for each prompt, in a thread, and may block.

    It returns None if the person gives no answer, and soon after the descriptor can be read: the
    question has lapsed then.
    """


class Person:
    """Answers all questions of a board. on_left_alone: called with one that stays unanswered."""

    def __init__(
        self, board: QuestionBoard, ask: Ask, on_left_alone: Callable[[str], None]
    ) -> None:
        self._board = board
        self._ask = ask
        self._on_left_alone = on_left_alone
        self._changed = asyncio.Event()
        self._news = asyncio.Event()
        self._tried: dict[str, int] = {}
        self._wrong: dict[str, int] = {}
        self._left_alone: set[str] = set()
        self._outcomes: dict[str, Outcome] = {}
        self._shown: Question | None = None
        self._has_lapsed = False
        self._lapsed = os.pipe()

    async def run(self) -> None:
        """Answer until this is cancelled."""
        unsubscribe = self._board.subscribe(self._on_change)
        self._board.attend(self, None)
        try:
            while True:
                self._changed.clear()
                question = next(filter(self._is_due, self._board.questions), None)
                if question is not None:
                    await self._answer(question)
                else:
                    await self._changed.wait()
        finally:
            unsubscribe()
            self._board.disconnect(self)
            for descriptor in self._lapsed:
                os.close(descriptor)

    def will_answer(self, question_id: str) -> bool:
        """Return whether a question is open here and not left alone, or was answered."""
        if self._outcomes.get(question_id) is Outcome.ANSWERED:
            return True
        is_open = any(question.id == question_id for question in self._board.questions)
        return is_open and question_id not in self._left_alone

    async def wait_answered(self, question_id: str) -> bool:
        """Wait for the end of a question. Return whether it was answered."""
        while self.will_answer(question_id):
            if question_id in self._outcomes:
                return True
            self._news.clear()
            await self._news.wait()
        return False

    def _is_due(self, question: Question) -> bool:
        is_new = question.attempt > self._tried.get(question.id, 0)
        return is_new and question.is_answerable and question.id not in self._left_alone

    async def _answer(self, question: Question) -> None:
        self._tried[question.id] = question.attempt
        try:
            claim = self._board.claim(self, question.id)
            answers = await self._read(claim.question)
            if answers is None:
                if not self._has_lapsed:
                    self._leave_alone(question.id)
                return
            verdict = await self._board.answer(self, question.id, claim.nonce, answers)
        except QuestionError:
            return  # it has lapsed
        if verdict.accepted is False:
            self._wrong[question.id] = self._wrong.get(question.id, 0) + 1
            if self._wrong[question.id] >= MAX_WRONG:
                self._leave_alone(question.id)

    async def _read(self, question: Question) -> list[Secret] | None:
        """Read the answers in a thread, which has ended when this returns or raises."""
        self._shown, self._has_lapsed = question, False
        snapshot = question_snapshot(question, self._board.now())
        reading = asyncio.get_running_loop().run_in_executor(
            None, self._ask, snapshot, self._lapsed[0]
        )
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            self._lapse()
            await asyncio.wait({reading})
            if reading.exception() is None:
                wipe(reading.result() or ())
            raise
        finally:
            self._shown = None
            if self._has_lapsed:
                os.read(self._lapsed[0], 1)  # else the next question would lapse at once

    def _lapse(self) -> None:
        """End the reading: its question is closed or asked again, or the program ends."""
        if not self._has_lapsed:
            self._has_lapsed = True
            os.write(self._lapsed[1], b"x")

    def _leave_alone(self, question_id: str) -> None:
        if question_id in self._outcomes:
            return
        self._left_alone.add(question_id)
        with suppress(QuestionError):
            self._board.decline(self, question_id)
        self._news.set()
        self._on_left_alone(question_id)

    def _on_change(self, change: Change) -> None:
        self._changed.set()
        self._news.set()
        question, shown = change.question, self._shown
        if isinstance(change, Closed):
            self._outcomes[question.id] = change.outcome
        elif question.subject.kind is not Kind.TOUCH and self._has_failed(change):
            # A login has ended without success. The person may start the next one.
            self._leave_alone(question.id)
        if shown is not None and shown.id == question.id:
            is_same = isinstance(change, Changed) and question.attempt == shown.attempt
            if not is_same:
                self._lapse()

    def _has_failed(self, change: Change) -> bool:
        question = change.question
        was_tried = question.id in self._tried
        return was_tried and not question.is_live and not question.prompts


class Answerer(Protocol):
    """Who answers questions: a person at the terminal, or by a program such as ssh-askpass."""

    async def run(self) -> None:
        """Answer until this is cancelled."""

    def will_answer(self, question_id: str) -> bool:
        """Return whether a question is open here and not left alone, or was answered."""

    async def wait_answered(self, question_id: str) -> bool:
        """Wait until the next attempt can succeed. Return False if no one answers."""


def _answerer(
    board: QuestionBoard,
    ask: Ask | None,
    on_left_alone: Callable[[str], None],
    log: Callable[[str], None],
) -> Answerer | None:
    """Return who answers. As in ssh, a program asks without a terminal, or if it is preferred."""
    program = program_of_environment()
    if program is not None and (ask is None or program.is_preferred):
        return AskPass(board, program, log, delay=0.0, on_left_alone=on_left_alone)
    return None if ask is None else Person(board, ask, on_left_alone)


@asynccontextmanager
async def answering(
    board: QuestionBoard,
    ask: Ask | None,
    tasks: asyncio.TaskGroup,
    on_left_alone: Callable[[str], None] = lambda _: None,
    log: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[Answerer | None]:
    """Let a person answer while the body runs. Yield None if there is no way to ask one."""
    person = _answerer(board, ask, on_left_alone, log)
    if person is None:
        yield None
        return
    task = tasks.create_task(person.run(), name="person")
    await asyncio.sleep(0)  # it attends before the first login
    try:
        yield person
    finally:
        task.cancel()
        await asyncio.wait({task})
