"""A client of the board that asks with the desktop's program for it, such as ssh-askpass.

It asks while no other client is there, one dialog at a time. A login that would ask is offered
first, and starts only with the person's consent. What a person has cancelled is not asked again
until other tunnels wait for it too, or until it is a new question.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tunnelkeeper.core.askpass import (
    CONFIRM,
    AskPassProgram,
    consent_text,
    dialog_text,
    find_program,
    needs_consent,
)
from tunnelkeeper.core.hook_queue import PRIVATE_VARIABLES
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
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.questions.printed_answer import NoAnswerError, PrintedAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tunnelkeeper.core.secret import Secret
    from tunnelkeeper.questions.board import QuestionBoard

DELAY = 1.0
"""Seconds before a new question is asked, so that a client on a terminal can come first."""

MAX_OUTCOMES = 100
"""Closed questions that are remembered for those who wait for them."""

PROMPT_VARIABLE = "SSH_ASKPASS_PROMPT"


@dataclass(slots=True)
class _Seen:
    """What is known about an open question.

    since: the loop's time at which it was first seen. tries: wrong answers, and logins that ended
    without all tunnels connected. answered: the attempt that was answered last. dismissed: the
    tunnels that waited when it was cancelled, or None.
    consent: whether the person wants the login: not asked, given, or given and the login asks.
    """

    since: float
    tries: int = 0
    answered: int = 0
    dismissed: tuple[str, ...] | None = None
    consent: Literal["", "given", "asked"] = ""


@dataclass(eq=False, slots=True)
class AskPass:
    """Asks the questions of a board with a program.

    delay: seconds before a new one is asked. on_left_alone: called with one that is cancelled.
    """

    board: QuestionBoard
    program: AskPassProgram
    log: Callable[[str], None]
    delay: float = DELAY
    on_left_alone: Callable[[str], None] = lambda _: None
    _outcomes: dict[str, Outcome] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _shown: Question | None = None
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _is_obsolete: bool = False

    async def run(self) -> None:
        """Ask until this is cancelled."""
        unsubscribe = self.board.subscribe(self._on_change)
        try:
            while True:
                self._changed.clear()
                question = next(filter(self._is_due, self.board.questions), None)
                if question is not None:
                    await self._ask(question)
                    continue
                # Clients come and go without a change of a question.
                async with _time_limit(self.delay or DELAY if self._has_undecided else None):
                    await self._changed.wait()
        finally:
            unsubscribe()
            self.board.disconnect(self)

    def will_answer(self, question_id: str) -> bool:
        """Return whether a question is open here and was not cancelled, or was answered."""
        if self._outcomes.get(question_id) is Outcome.ANSWERED:
            return True
        question = next((q for q in self.board.questions if q.id == question_id), None)
        return question is not None and self._state(question).dismissed != question.tunnels

    async def wait_answered(self, question_id: str) -> bool:
        """Wait until the next attempt can succeed. Return False if the person does not answer."""
        while self.will_answer(question_id):
            seen = self._seen.get(question_id)
            if question_id in self._outcomes or (seen is not None and seen.consent):
                return True
            self._news.clear()
            await self._news.wait()
        return False

    @property
    def _has_undecided(self) -> bool:
        return any(
            self._state(question).dismissed != question.tunnels for question in self.board.questions
        )

    def _state(self, question: Question) -> _Seen:
        return self._seen.setdefault(question.id, _Seen(asyncio.get_running_loop().time()))

    def _is_due(self, question: Question) -> bool:
        """Return whether to show a dialog for a question now."""
        seen = self._state(question)
        if question.subject.kind is Kind.TOUCH or seen.answered == question.attempt:
            return False
        if seen.consent:
            return question.is_live and question.is_answerable
        if question.is_live or question.claimed or seen.dismissed == question.tunnels:
            return False
        if not (question.is_answerable or needs_consent(question)):
            return False
        if self.program.is_preferred:
            return True
        is_new = asyncio.get_running_loop().time() < seen.since + self.delay
        return not is_new and not self.board.attending(question.tunnels)

    async def _ask(self, question: Question) -> None:
        """Ask with as many dialogs as it takes."""
        seen = self._state(question)
        try:
            if needs_consent(question):
                await self._dialog(question, consent_text(question), CONFIRM)
                seen.consent = "given"
                self.board.claim(self, question.id)
                self._news.set()
            else:
                await self._answer(question, seen)
        except _CancelledError:
            self._dismiss(question)
        except _ObsoleteError:
            pass
        except QuestionError as error:  # another client was faster
            self.log(f"the answer of {printable(self.program.path)} was not used: {error}")

    async def _answer(self, question: Question, seen: _Seen) -> None:
        claim = self.board.claim(self, question.id)
        answers: list[Secret] = []
        try:
            for prompt in question.prompts:
                answer = await self._dialog(question, dialog_text(question, prompt))
                answers.append(answer)
                if question.subject.kind is Kind.HOST_KEY and answer.reveal().lower() == b"no":
                    raise _CancelledError
                if not answer and not question.is_live:
                    raise _CancelledError
            seen.answered = question.attempt
            verdict = await self.board.answer(self, question.id, claim.nonce, answers)
        except BaseException:
            wipe(answers)
            raise
        if verdict.accepted is False:
            seen.tries += 1
            if seen.tries >= MAX_WRONG:
                self._dismiss(question)

    def _dismiss(self, question: Question) -> None:
        """Do not ask again for the tunnels that wait now."""
        seen = self._state(question)
        seen.consent = ""
        current = next((q for q in self.board.questions if q.id == question.id), question)
        seen.dismissed = current.tunnels
        self.board.decline(self, question.id)
        self._left(question.id)

    def _left(self, question_id: str) -> None:
        self._news.set()
        self.on_left_alone(question_id)

    async def _dialog(self, question: Question, text: str, hint: str = "") -> Secret:
        """Show one dialog and return what was typed. hint: for SSH_ASKPASS_PROMPT.

        Raises _CancelledError if the person cancels it or it cannot be shown, and _ObsoleteError
        if its question is closed or asked in another way meanwhile; it is ended then.
        """
        self._shown, self._is_obsolete = question, False
        self._over.clear()
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in PRIVATE_VARIABLES and name != PROMPT_VARIABLE
        }
        if hint:
            environment[PROMPT_VARIABLE] = hint
        run = PrintedAnswer(lambda line: self.log(f"askpass: {line}"), self._over.set)
        try:
            await run.start([self.program.path, text], env=environment)
            await self._over.wait()
            if self._is_obsolete:
                raise _ObsoleteError
            await run.read_rest()
            return run.answer()
        except NoAnswerError:
            raise _CancelledError from None
        except (OSError, ValueError) as error:
            reason = os_error_text(error) if isinstance(error, OSError) else str(error)
            self.log(f"{printable(self.program.path)} cannot be started: {printable(reason)}")
            raise _CancelledError from None
        finally:
            self._shown = None
            await run.end()

    def _on_change(self, change: Change) -> None:
        self._changed.set()
        question = change.question
        shown = self._shown
        is_open = isinstance(change, Changed)
        if shown is not None and shown.id == question.id:
            is_same = (shown.attempt, shown.is_live) == (question.attempt, question.is_live)
            if not (is_open and is_same):
                self._is_obsolete = True
                self._over.set()
        seen = self._seen.get(question.id)
        if seen is None:
            return
        if isinstance(change, Closed):
            self._outcomes[question.id] = change.outcome
            if len(self._outcomes) > MAX_OUTCOMES:
                del self._outcomes[next(iter(self._outcomes))]
            self._news.set()
            del self._seen[question.id]
        elif seen.consent and question.is_live:
            seen.consent = "asked"
        elif seen.consent == "asked" or (seen.consent and not question.claimed):
            # The login has ended. After a refused answer a person has to act before the next one.
            seen.consent = ""
            seen.tries += 1
            if question.problem or seen.tries >= MAX_WRONG:
                seen.dismissed = question.tunnels
                self._left(question.id)


class _CancelledError(Exception):
    """The person gives no answer."""


class _ObsoleteError(Exception):
    """The question is closed, or asked in another way."""


def program_of_environment() -> AskPassProgram | None:
    """Return the program that the environment of this process names, or None."""
    return find_program(os.environ, lambda path: shutil.which(path) is not None)


@asynccontextmanager
async def asking_by_program(
    board: QuestionBoard, tasks: asyncio.TaskGroup, log: Callable[[str], None]
) -> AsyncIterator[None]:
    """Ask with the program of SSH_ASKPASS while the body runs, if there is one and a display."""
    program = program_of_environment()
    if program is None:
        yield
        return
    task = tasks.create_task(AskPass(board, program, log).run(), name="askpass")
    try:
        yield
    finally:
        task.cancel()


@asynccontextmanager
async def _time_limit(seconds: float | None) -> AsyncIterator[None]:
    """End the body after some seconds, without an error."""
    try:
        async with asyncio.timeout(seconds) as limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
