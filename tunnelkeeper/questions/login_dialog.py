"""What one login asks of a person. The board decides who answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.core.secret import wipe

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from tunnelkeeper.core.questions import Kind, Prompt
    from tunnelkeeper.core.secret import Secret


class AnswerNeededError(Exception):
    """A login needs an answer that no one gives now. question_id: of the question about it."""

    def __init__(self, question_id: str, reason: str) -> None:
        super().__init__(reason)
        self.question_id = question_id


class Board(Protocol):
    """The board of questions, as a login uses it; see questions.board.QuestionBoard."""

    async def ask_during_login(
        self,
        dialog: LoginDialog,
        kind: Kind,
        text: str,
        prompts: Sequence[Prompt],
        deadline: float,
        problem: str,
    ) -> Sequence[Secret]:
        """Ask a question of a login."""

    def admit(self, dialog: LoginDialog, kind: Kind, text: str, problem: str) -> None:
        """Let a login ask, if a person is present."""

    def has_person(self, dialog: LoginDialog) -> bool:
        """Return whether a person answers the questions of a login."""

    def login_succeeded(self, dialog: LoginDialog, *, is_remembered: bool) -> None:
        """Close the question of a login that succeeded."""

    def login_ended(self, dialog: LoginDialog, problem: str) -> None:
        """Let the question of a login rest until a person is there."""


class LoginDialog:
    """The questions of one login on one hop. Made by QuestionBoard.dialog.

    The login reports its end by `succeeded` or `ended`, whether or not it has asked. Of several
    logins on a hop only one asks at a time.
    """

    def __init__(self, board: Board, hop: str, tunnel: str) -> None:
        self._board = board
        self.hop = hop
        self.tunnel = tunnel
        self.present: set[Hashable] = set()
        """The clients with a person who answers this login's questions."""
        self.question_id: str | None = None
        """The question that this login has asked, if any."""
        self._answers: asyncio.Future[Sequence[Secret]] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether the login waits for answers now."""
        return self._answers is not None and not self._answers.done()

    async def wait(self) -> Sequence[Secret]:
        """Wait for the answers, for the board. Those that come too late are wiped."""
        answers: asyncio.Future[Sequence[Secret]] = asyncio.get_running_loop().create_future()
        self._answers = answers
        try:
            return await answers
        except asyncio.CancelledError:
            if answers.done() and not answers.cancelled() and answers.exception() is None:
                wipe(answers.result())
            raise
        finally:
            if self._answers is answers:
                self._answers = None

    def give(self, answers: Sequence[Secret]) -> None:
        """Hand over the answers that a login waits for."""
        assert self._answers is not None  # noqa: S101  it is waiting
        self._answers.set_result(answers)

    def give_up(self, reason: str) -> None:
        """Let a login that waits for answers end, if it does."""
        if self._answers is not None and not self._answers.done():
            assert self.question_id is not None  # noqa: S101  it is asking
            self._answers.set_exception(AnswerNeededError(self.question_id, reason))

    @property
    def has_person(self) -> bool:
        """Whether a person is present who answers this login's questions."""
        return self._board.has_person(self)

    def admit(self, kind: Kind, text: str, problem: str = "") -> None:
        """Reserve the hop for this login's questions, before it makes the server ask.

        Args:
            kind: PASSWORD or CODES.
            text: What a person is asked for, if none is present: the question rests with it.
            problem: Why the last answer did not serve.

        Raises:
            AnswerNeededError: No person is present, or another login on this hop is asking.
        """
        self._board.admit(self, kind, text, problem)

    async def ask(
        self, kind: Kind, text: str, prompts: Sequence[Prompt], deadline: float, problem: str = ""
    ) -> Sequence[Secret]:
        """Ask a person, and return one answer for each prompt. The caller wipes them.

        Args:
            kind: PASSWORD or CODES.
            text: What is asked, naming the hop; texts of the server in it are printable.
            prompts: What to ask for.
            deadline: The monotonic time at which the login ends.
            problem: Why the last answer of this login did not serve.

        Raises:
            AnswerNeededError: There is no answer: no person is present, the last one left or
                declined, or another login on this hop is asking.
        """
        return await self._board.ask_during_login(self, kind, text, prompts, deadline, problem)

    def succeeded(self, *, is_remembered: bool = False) -> None:
        """Close the question. is_remembered: whether other tunnels can log in with the answer."""
        self._board.login_succeeded(self, is_remembered=is_remembered)

    def ended(self, problem: str = "") -> None:
        """Report that the login has failed or was cancelled. problem: why, for the person."""
        self._board.login_ended(self, problem)
