"""A controller with open questions, for the tests of the dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tests.dashboard.sample_model import NOW, ControllerHarness
from tunnelkeeper.control.payloads import (
    Claimed,
    QuestionClosedEvent,
    QuestionEvent,
)
from tunnelkeeper.dashboard.answering import (
    Answering,
    AnswerQuestion,
    ClaimQuestion,
)

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import QuestionSnapshot


class QuestionHarness(ControllerHarness):
    """A controller with open questions."""

    def __init__(self, *questions: QuestionSnapshot) -> None:
        super().__init__()
        self.questions = self.controller.questions
        for question in questions:
            self.ask(question)

    @property
    def stage(self) -> str:
        return self.mode.stage

    @property
    def mode(self) -> Answering:
        assert isinstance(self.ui_state.mode, Answering)
        return self.ui_state.mode

    def ask(self, question: QuestionSnapshot) -> None:
        self.model.on_event(QuestionEvent(question), NOW.monotonic)
        self.questions.sync()

    def close(self, question: QuestionSnapshot, outcome: str) -> None:
        event = QuestionClosedEvent(question.id, outcome)
        self.model.on_event(event, NOW.monotonic)
        self.questions.sync(event)

    def open(self, selected: str = "db") -> None:
        self.controller.select(selected)
        self.questions.open()

    def grant(self) -> ClaimQuestion:
        """Grant the last claim, for the question as the model has it."""
        claim = self.actions[-1]
        assert isinstance(claim, ClaimQuestion)
        self.questions.on_claimed(claim, Claimed(self.model.questions[claim.id], "nonce"))
        return claim

    def type(self, text: str) -> None:
        for character in text:
            self.questions.type_text(character)

    def sent(self) -> AnswerQuestion:
        """Return the answers that were sent last."""
        action = self.actions[-1]
        assert isinstance(action, AnswerQuestion)
        return action


def again(question: QuestionSnapshot, **changes: object) -> QuestionSnapshot:
    return msgspec.structs.replace(question, attempt=question.attempt + 1, **changes)
