"""Maps keys and events to changes of the open question and to actions about it. Pure.

A question opens only on a key and closes only on a key, so that what is typed for it never reaches
the table. It is claimed when it opens, unless it rests: then the claim starts a login.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from tunnelkeeper.core.questions import Outcome
from tunnelkeeper.dashboard.answering import (
    Answering,
    AnswerQuestion,
    ClaimQuestion,
    LeaveQuestion,
    QuestionAction,
)
from tunnelkeeper.dashboard.model import Connected
from tunnelkeeper.dashboard.ui_state import Browsing, Message, UiState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tunnelkeeper.control.payloads import Answered, Claimed, QuestionClosedEvent
    from tunnelkeeper.core.snapshot import QuestionSnapshot
    from tunnelkeeper.dashboard.model import Model
    from tunnelkeeper.dashboard.ui_state import Action

_WAITING = frozenset({"backoff", "blocked", "stopped"})


@dataclass(slots=True)
class QuestionController:
    """The operations on the open question. With none open, all but `open` do nothing."""

    model: Model
    ui_state: UiState
    dispatch: Callable[[Action], None]
    _claims: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def _mode(self) -> Answering | None:
        mode = self.ui_state.mode
        return mode if isinstance(mode, Answering) else None

    # -- keys --------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the question that the selected tunnel waits for, or else the oldest one."""
        if not isinstance(self.model.feed_state, Connected):
            self._show_message("no supervisor answers", is_error=True)
            return
        questions = self._questions()
        if not questions:
            self._show_message(
                "touch the security key; there is nothing to type"
                if self.model.questions
                else "no question is open"
            )
            return
        selected = [q for q in questions if self.ui_state.selected in q.tunnels]
        self._open((selected or questions)[0])

    def open_next(self) -> None:
        """Leave the open question, and open the one that was asked after it."""
        mode = self._mode
        if mode is None:
            return
        questions = self._questions()
        ids = [question.id for question in questions]
        index = ids.index(mode.question.id) + 1 if mode.question.id in ids else 0
        others = [q for q in (*questions[index:], *questions[:index]) if q.id != mode.question.id]
        if not others:
            self._show_message("no other question is open")
            return
        self._leave(mode)
        self._open(others[0])

    def type_text(self, text: str) -> None:
        """Append a character to the field. If no field takes it, drop it."""
        mode = self._mode
        if mode is None or mode.is_interrupted:
            return
        if mode.stage != "open":
            mode.is_typing_ahead = True
            return
        mode.problem, mode.scrolled, mode.confirms_empty = "", 0, False
        if not mode.fields[mode.focus].add(text):
            mode.problem = "the answer is too long"

    def paste(self, text: str) -> None:
        """Append a pasted text to the field. A line end at its end is dropped, and sends nothing.

        A text of several lines is refused.
        """
        text = text.rstrip("\r\n")
        mode = self._mode
        if mode is not None and mode.stage == "open" and ("\n" in text or "\r" in text):
            mode.problem = "the pasted text has several lines"
            return
        self.type_text(text)

    def erase(self) -> None:
        """Remove the last character of the field."""
        mode = self._mode
        if mode is not None and mode.stage == "open":
            mode.fields[mode.focus].erase()

    def erase_all(self) -> None:
        """Clear the field."""
        mode = self._mode
        if mode is not None and mode.stage == "open":
            mode.fields[mode.focus].clear()

    def move_focus(self, steps: int) -> None:
        """Move to another field, round the ends."""
        mode = self._mode
        if mode is not None and mode.fields:
            mode.focus = (mode.focus + steps) % len(mode.fields)
            mode.scrolled = 0

    def scroll(self, lines: int) -> None:
        """Scroll the text back (positive) or forward."""
        mode = self._mode
        if mode is not None:
            mode.scrolled = max(0, mode.scrolled + lines)

    def enter(self) -> None:
        """Start the login, go to the next empty field, send the answers, or close the dialog."""
        mode = self._mode
        if mode is None:
            return
        match mode.stage:
            case "resting":
                mode.stage, mode.problem, mode.has_connected = "starting", "", False
                mode.is_typing_ahead = False
                self._claim(mode)
            case "open" if mode.is_interrupted:
                mode.is_interrupted, mode.problem = False, mode.question.problem
            case "open":
                following = range(mode.focus + 1, len(mode.fields))
                empty = [index for index in following if not mode.fields[index]]
                if empty:
                    mode.focus = empty[0]
                else:
                    self._send(mode)
            case "done":
                self.escape()

    def escape(self) -> None:
        """Decline the question, or close the dialog of one that has ended."""
        mode = self._mode
        if mode is None:
            return
        is_declined = mode.stage != "done"
        self._leave(mode)
        self.ui_state.mode = Browsing()
        if is_declined:
            self._show_message("not answered; A opens the question again")

    # -- events ------------------------------------------------------------------------------

    def sync(self, closed: QuestionClosedEvent | None = None) -> None:
        """Follow the model. closed: the event that has just closed a question, if it did."""
        mode = self._mode
        if mode is None or mode.stage == "done":
            return
        if not isinstance(self.model.feed_state, Connected):
            self._end(mode, "The supervisor is gone.")
            return
        question = self.model.questions.get(mode.question.id)
        if question is None:
            is_own = closed is not None and closed.id == mode.question.id
            self._end(mode, _ending(mode, closed.outcome if closed and is_own else ""))
        elif question.attempt > mode.question.attempt:
            self._ask_again(mode, question)
        elif question.attempt == mode.question.attempt:
            mode.question = question
        if mode.stage == "starting":
            self._notice_failed_login(mode)

    def on_claimed(self, action: ClaimQuestion, claimed: Claimed) -> None:
        """Record that the claim was granted, for the question as it was asked then."""
        mode = self._mode_of(action)
        if mode is None or mode.question.attempt != claimed.question.attempt:
            return  # the feed reports what is asked now, and it is claimed again
        mode.nonce = claimed.nonce
        if mode.stage == "sending":
            self._send_fields(mode)

    def on_answered(self, action: AnswerQuestion, answered: Answered) -> None:
        """Show the verdict on the answers. The event that asks again brings the problem, too."""
        mode = self._mode_of(action)
        if mode is None:
            return
        if answered.accepted:
            self._end(mode, "The answer was accepted.")
        else:
            mode.problem = answered.problem

    def on_refused(self, action: QuestionAction, message: str) -> None:
        """Show why the supervisor refused a claim or an answer."""
        mode = self._mode_of(action)
        if mode is None:
            return
        mode.clear()
        mode.nonce, mode.claim, mode.problem = "", 0, message
        mode.stage = "open" if mode.fields else "resting"

    def on_lost(self, action: QuestionAction, message: str) -> None:
        """Record that the connection of the claim broke."""
        mode = self._mode_of(action)
        if mode is not None:
            self._end(mode, f"{message[:1].upper()}{message[1:]}.")

    # -- private -----------------------------------------------------------------------------

    def _questions(self) -> list[QuestionSnapshot]:
        return [q for q in self.model.questions.values() if q.kind != "touch"]

    def _mode_of(self, action: QuestionAction) -> Answering | None:
        """Return the open question if the result of an action is about it as it is asked now."""
        mode = self._mode
        if mode is None or mode.stage == "done" or mode.question.id != action.id:
            return None
        match action:
            case ClaimQuestion(number=number):
                return mode if mode.claim == number else None
            case AnswerQuestion(attempt=attempt):
                return mode if mode.question.attempt == attempt else None
        return None

    def _open(self, question: QuestionSnapshot) -> None:
        mode = Answering.of(question)
        self.ui_state.mode = mode
        if mode.stage == "open":
            self._claim(mode)

    def _claim(self, mode: Answering) -> None:
        mode.claim = next(self._claims)
        self.dispatch(ClaimQuestion(mode.question.id, mode.claim))

    def _send(self, mode: Answering) -> None:
        """Send the answers if they can be right, as soon as the claim is granted."""
        key = mode.question.host_key
        if key is not None:
            answer = mode.fields[0].text().strip()
            if answer.lower() == "no":
                self.escape()
                return
            if answer.lower() != "yes" and answer != key.fingerprint:
                mode.clear()
                mode.problem = "type yes, no or the fingerprint of this key"
                return
        elif not all(mode.fields) and not mode.confirms_empty:
            mode.problem = "nothing is typed"
            if mode.question.kind == "codes":
                mode.problem += "; Enter again sends an empty answer"
                mode.confirms_empty = True
            return
        mode.stage, mode.problem = "sending", ""
        if mode.nonce:
            self._send_fields(mode)
        elif not mode.claim:
            self._claim(mode)

    def _send_fields(self, mode: Answering) -> None:
        answers = tuple(each.take() for each in mode.fields)
        question = mode.question
        self.dispatch(AnswerQuestion(question.id, question.attempt, mode.nonce, answers))
        mode.nonce, mode.claim = "", 0  # valid once

    def _ask_again(self, mode: Answering, question: QuestionSnapshot) -> None:
        """Show the question as it is asked now. What was typed was meant for the earlier one."""
        was_typing = any(mode.fields) or mode.is_interrupted or mode.is_typing_ahead
        mode.clear()
        again = Answering.of(question)
        if was_typing and again.stage == "open":
            again.is_interrupted = True
            again.problem = "the question was asked again; press Enter, then type the answer"
        self.ui_state.mode = again
        if again.stage == "open":
            self._claim(again)

    def _notice_failed_login(self, mode: Answering) -> None:
        """Show why the login that was started has failed without a question."""
        tunnels = [self.model.tunnels[n] for n in mode.question.tunnels if n in self.model.tunnels]
        if any(tunnel.state == "connecting" for tunnel in tunnels):
            mode.has_connected = True
        elif mode.has_connected and all(tunnel.state in _WAITING for tunnel in tunnels):
            failure = next((t.failure for t in tunnels if t.failure is not None), None)
            mode.stage = "resting"
            mode.problem = failure.message if failure is not None else "the login has ended"

    def _end(self, mode: Answering, outcome: str) -> None:
        mode.clear()
        mode.stage, mode.outcome, mode.problem, mode.nonce = "done", outcome, "", ""
        self.dispatch(LeaveQuestion(mode.question.id, decline=False))

    def _leave(self, mode: Answering) -> None:
        mode.clear()
        if mode.stage != "done":
            self.dispatch(LeaveQuestion(mode.question.id, decline=True))

    def _show_message(self, text: str, *, is_error: bool = False) -> None:
        self.ui_state.message = Message(text, is_error)


def _ending(mode: Answering, outcome: str) -> str:
    """Return how a question ended that the model has no longer."""
    if outcome == Outcome.NOT_NEEDED:
        return "No tunnel waits for the answer any more."
    if mode.stage in {"sending", "starting"}:
        return "The answer was accepted." if mode.stage == "sending" else "The login succeeded."
    if outcome == Outcome.ANSWERED:
        return "It was answered by another client."
    return "The question is closed."
