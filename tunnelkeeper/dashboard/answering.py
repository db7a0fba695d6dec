"""The question that is open in the dashboard, and what is typed for it. It decides nothing.

What is typed is held in fields of its own and not in an input line of prompt_toolkit, whose
history, undo list and clipboard would keep it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tunnelkeeper.core.questions import LOGIN_KINDS, MAX_ANSWER_SIZE
from tunnelkeeper.core.secret import Secret

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import PromptSnapshot, QuestionSnapshot

Stage = Literal["resting", "starting", "open", "sending", "done"]
"""How far a question is.

resting: no login waits for the answer; Enter starts one. starting: that login begins. open: the
fields take what is typed. sending: the answers are on their way, or the server decides about them.
done: nothing more can be answered; the dialog stays until a key closes it.
"""


class AnswerField:
    """What is typed for one prompt. Its repr shows nothing of it."""

    __slots__ = ("_data", "_size", "echo", "label")

    def __init__(self, label: str, *, echo: bool = False) -> None:
        self.label = label
        self.echo = echo
        # Growing it would leave copies of what it held before.
        self._data = bytearray(MAX_ANSWER_SIZE)
        self._size = 0

    def add(self, text: str) -> bool:
        """Append what was typed or pasted. Return False, and append nothing, if it is too long."""
        data = text.encode("utf-8", "surrogateescape")
        if self._size + len(data) > MAX_ANSWER_SIZE:
            return False
        self._data[self._size : self._size + len(data)] = data
        self._size += len(data)
        return True

    def erase(self) -> None:
        """Remove the last character."""
        is_continuation = True
        while self._size and is_continuation:
            self._size -= 1
            is_continuation = self._data[self._size] & 0xC0 == 0x80
            self._data[self._size] = 0

    def clear(self) -> None:
        """Overwrite and forget what was typed."""
        self._data[:] = bytes(len(self._data))
        self._size = 0

    def take(self) -> Secret:
        """Return what was typed and clear the field."""
        answer = Secret(bytes(self._data[: self._size]))
        self.clear()
        return answer

    def text(self) -> str:
        """Return what was typed as text, to check or show it. It is kept nowhere."""
        return self._data[: self._size].decode("utf-8", "surrogateescape")

    def shown(self, mask: str) -> str:
        """Return what the screen may show: the text, or one mask for each character."""
        if self.echo:
            return self.text()
        # Counted in the bytes: a text would leave a copy of the secret at each redraw.
        characters = sum(byte & 0xC0 != 0x80 for byte in memoryview(self._data)[: self._size])
        return mask * characters

    def __bool__(self) -> bool:
        return self._size > 0

    def __repr__(self) -> str:
        return f"<field {self.label!r}>"


@dataclass(slots=True, eq=False)
class Answering:
    """A question is open. Keys are typed into its fields.

    Attributes:
        question: The question as it was asked last.
        focus: The index of the field that takes what is typed.
        problem: Why the last answer does not serve, or why the login failed.
        outcome: In the stage `done`, how the question ended.
        nonce: From the claim; empty until the supervisor has granted it.
        claim: The number of the last claim, 0 before the first. Earlier ones are void.
        has_connected: Whether the login that was started has been seen to connect.
        confirms_empty: Whether Enter has warned that an answer is empty.
        is_interrupted: Whether the question was asked again while the user was typing. What is
            typed next was meant for the earlier one, so it is dropped until Enter.
        is_typing_ahead: Whether something was typed while no field took it.
        scrolled: Lines that the text is scrolled back from where the focus is visible.
    """

    question: QuestionSnapshot
    stage: Stage
    fields: list[AnswerField]
    focus: int = 0
    problem: str = ""
    outcome: str = ""
    nonce: str = field(default="", repr=False)
    claim: int = 0
    has_connected: bool = False
    confirms_empty: bool = False
    is_interrupted: bool = False
    is_typing_ahead: bool = False
    scrolled: int = 0

    @classmethod
    def of(cls, question: QuestionSnapshot) -> Answering:
        """Return the dialog of a question, with empty fields."""
        fields = [_create_field(prompt) for prompt in question.prompts]
        stage = _first_stage(question)
        outcome = "This can only be refused." if stage == "done" else ""
        return cls(question, stage, fields, problem=question.problem, outcome=outcome)

    def clear(self) -> None:
        """Forget what was typed."""
        for each in self.fields:
            each.clear()


def _create_field(prompt: PromptSnapshot) -> AnswerField:
    return AnswerField(prompt.text, echo=prompt.echo)


def _first_stage(question: QuestionSnapshot) -> Stage:
    if question.prompts:
        return "open"
    if question.kind not in LOGIN_KINDS:
        return "done"  # such as a key that cannot be accepted
    return "starting" if question.live else "resting"


@dataclass(frozen=True, slots=True)
class ClaimQuestion:
    """Claim a question, which starts a login if none waits for the answer."""

    id: str
    number: int


@dataclass(frozen=True, slots=True)
class AnswerQuestion:
    """Send the answers to a question as it was asked in this attempt, and wipe them."""

    id: str
    attempt: int
    nonce: str = field(repr=False)
    answers: tuple[Secret, ...]


@dataclass(frozen=True, slots=True)
class LeaveQuestion:
    """Close the connection over which a question was claimed. `decline` ends a login at once."""

    id: str
    decline: bool


QuestionAction = ClaimQuestion | AnswerQuestion | LeaveQuestion
