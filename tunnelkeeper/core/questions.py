"""Questions that only a person can answer, and the book that decides who answers them. Pure.

A question is a value with an id. There is one question per key file and one per hop, however many
tunnels wait for it. A *standing* question is asked with no connection open (a passphrase, a host
key). A *login* question (a password, a code) is `live` while a login waits for its answer; between
logins it says that a person is needed, and a claim starts the next login.

A client claims a question and gets a nonce, which is valid for what was asked at that moment. The
first valid answer wins. A question that is asked again has a new attempt, so an answer to the
earlier one is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from tunnelkeeper.core.secret import Secret

TEXT_LIMIT = 1000
"""Characters kept of a text of the server that a person is shown."""

PROMPT_LIMIT = 200
"""Characters kept of one prompt of the server."""

MAX_PROMPTS = 16
"""Prompts of one round. No server in use asks for more than a few."""

MAX_ANSWER_SIZE = 4096
"""Bytes of one answer."""

MAX_WRONG = 3
"""Wrong answers to a question before a person is left alone: ssh's NumberOfPasswordPrompts."""


WAITS_FOR_ANSWER = "waits for an answer"
"""The start of the log message of a tunnel while a person is asked."""


class Kind(StrEnum):
    """The kind of a question."""

    PASSPHRASE = "passphrase"  # noqa: S105  a kind, not a secret
    PASSWORD = "password"  # noqa: S105  a kind, not a secret
    CODES = "codes"
    HOST_KEY = "host_key"
    TOUCH = "touch"


LOGIN_KINDS = frozenset({Kind.PASSWORD, Kind.CODES})
"""The kinds that are asked during a login, while the connection is open."""


class Outcome(StrEnum):
    """Why a question was closed."""

    ANSWERED = "answered"
    NOT_NEEDED = "not_needed"


class QuestionError(Exception):
    """A claim or an answer that cannot be accepted. The text is for the person."""


class NoSuchQuestionError(QuestionError):
    """The question is closed, or never existed."""

    def __init__(self, question_id: str) -> None:
        super().__init__(f"question {printable(question_id, 40)} is closed or never existed")


class Prompt(Struct, frozen=True):
    """One prompt, made printable. echo: whether the answer may be shown while it is typed."""

    text: str
    echo: bool = False

    @classmethod
    def of(cls, text: str, *, echo: bool = False) -> Prompt:
        """Return a prompt with a text of the server."""
        return cls(printable(text.strip(), PROMPT_LIMIT), echo)


class HostKeyDetails(Struct, frozen=True):
    """What is known about an unknown host key.

    fingerprint: as `ssh-keygen -l` prints it. art: the random art of ssh-keygen, or empty.
    files: the known_hosts files that were searched. other_names: names for which they have this
    very key, at most a few.
    """

    algorithm: str
    fingerprint: str
    art: str = ""
    files: tuple[str, ...] = ()
    other_names: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the type and fingerprint of the key."""
        return f"{self.algorithm} {self.fingerprint}"


class Subject(Struct, frozen=True):
    """What a question is about: a hop (`user@host:port`) or a key file (a path)."""

    kind: Kind
    about: str

    @property
    def key(self) -> tuple[str, str]:
        """What subjects with the same question have in common: password and codes share one."""
        return ("login" if self.kind in LOGIN_KINDS else self.kind.value, self.about)


class Question(Struct, frozen=True):
    """A question as clients see it. All text is printable and bounded.

    text: what is asked, in a sentence; a text of the server is quoted in it.
    prompts: what to ask for, one answer each; empty while no login waits for an answer.
    tunnels: the tunnels that wait for the answer, sorted. attempt: 1, and 1 more each time that it
    is asked. is_live: whether a login waits for the answer now. deadline: the monotonic time at
    which that login ends, if it is live. problem: why the last answer did not serve, or empty.
    claimed: whether a client has claimed it.
    """

    id: str
    subject: Subject
    text: str
    prompts: tuple[Prompt, ...] = ()
    tunnels: tuple[str, ...] = ()
    attempt: int = 1
    is_live: bool = False
    deadline: float | None = None
    problem: str = ""
    host_key: HostKeyDetails | None = None
    claimed: bool = False

    @property
    def is_answerable(self) -> bool:
        """Whether an answer would be accepted now. A touch happens at the key itself."""
        return bool(self.prompts) and self.subject.kind is not Kind.TOUCH


class Claim(Struct, frozen=True):
    """A client's right to answer a question as it is asked now."""

    question: Question
    nonce: str


class Verdict(Struct, frozen=True):
    """What became of an answer. accepted: None if the server decides about it next."""

    accepted: bool | None
    problem: str = ""


class Changed(Struct, frozen=True):
    """A question is new, or was asked again, or others wait for it now."""

    question: Question


class Closed(Struct, frozen=True):
    """A question is closed."""

    question: Question
    outcome: Outcome


Change = Changed | Closed


@dataclass(slots=True)
class _Entry:
    """A question with what clients do not see.

    claims: the nonce of each client. is_answered: whether an answer is being tried.
    """

    question: Question
    claims: dict[Hashable, str] = field(default_factory=dict)
    is_answered: bool = False


@dataclass(slots=True)
class QuestionBook:
    """All open questions. Every method returns the changes to publish, in order."""

    _entries: dict[str, _Entry] = field(default_factory=dict)
    _ids: dict[tuple[str, str], str] = field(default_factory=dict)
    _count: int = 0

    @property
    def questions(self) -> tuple[Question, ...]:
        """The open questions, oldest first."""
        return tuple(entry.question for entry in self._entries.values())

    def get(self, question_id: str) -> Question:
        """Return an open question. Raises NoSuchQuestionError."""
        return self._entry(question_id).question

    def claimants(self, question_id: str) -> set[Hashable]:
        """Return the clients that have claimed a question. Raises NoSuchQuestionError."""
        return set(self._entry(question_id).claims)

    def find(self, subject: Subject) -> Question | None:
        """Return the open question about a subject, or None."""
        question_id = self._ids.get(subject.key)
        return None if question_id is None else self._entries[question_id].question

    def ask(
        self,
        subject: Subject,
        text: str,
        prompts: Sequence[Prompt] = (),
        *,
        tunnel: str = "",
        is_live: bool = False,
        deadline: float | None = None,
        problem: str = "",
        host_key: HostKeyDetails | None = None,
    ) -> tuple[Question, list[Change]]:
        """Open the question about a subject, or ask it again with other text and prompts.

        Asked again in the same words, with no answer in between, it stays the same question: a
        second tunnel has met it. Claims on what was asked before are void. tunnel: the tunnel that
        waits for the answer, or empty.
        """
        found = self.find(subject)
        tunnels = {tunnel} - {""} | set(found.tunnels if found else ())
        asked = {
            "tunnels": tuple(sorted(tunnels)),
            "subject": subject,
            "text": printable(text, TEXT_LIMIT),
            "prompts": tuple(prompts[:MAX_PROMPTS]),
            "is_live": is_live,
            "deadline": deadline,
            "problem": printable(problem),
            "host_key": host_key,
        }
        if found is None:
            self._count += 1
            question = Question(id=f"q{self._count}", **asked)  # type: ignore[arg-type]
            self._entries[question.id] = _Entry(question)
            self._ids[subject.key] = question.id
            return question, [Changed(question)]
        entry = self._entries[found.id]
        joined = replace(found, tunnels=tuple(sorted(tunnels)))
        if not entry.is_answered and replace(joined, **asked) == joined:
            entry.question = joined
            return joined, [] if joined == found else [Changed(joined)]
        entry.is_answered = False
        entry.claims.clear()
        entry.question = replace(
            found,
            attempt=found.attempt + 1,
            claimed=False,
            **asked,
        )
        return entry.question, [Changed(entry.question)]

    def rest(self, question_id: str, text: str, problem: str = "") -> list[Change]:
        """End the login that a question belongs to. It says from now on that a person is needed.

        It is closed if no tunnel waits for it.
        """
        question = self.get(question_id)
        if not question.tunnels:
            return self.close(question_id, Outcome.NOT_NEEDED)
        return self.ask(question.subject, text, problem=problem)[1]

    def join(self, question_id: str, tunnel: str) -> list[Change]:
        """Let one more tunnel wait for a question. Raises NoSuchQuestionError."""
        entry = self._entry(question_id)
        if tunnel in entry.question.tunnels:
            return []
        tunnels = tuple(sorted([*entry.question.tunnels, tunnel]))
        entry.question = replace(entry.question, tunnels=tunnels)
        return [Changed(entry.question)]

    def leave(self, question_id: str, tunnel: str) -> list[Change]:
        """Let a tunnel no longer wait for a question. One for which none waits is closed."""
        entry = self._entries.get(question_id)
        if entry is None:
            return []
        tunnels = tuple(name for name in entry.question.tunnels if name != tunnel)
        if not tunnels:
            return self.close(question_id, Outcome.NOT_NEEDED)
        entry.question = replace(entry.question, tunnels=tunnels)
        return [Changed(entry.question)]

    def wait(self, tunnel: str, question_ids: Iterable[str]) -> list[Change]:
        """Set for which questions a tunnel waits. One for which none waits is closed."""
        wanted = set(question_ids)
        changes: list[Change] = []
        for entry in list(self._entries.values()):
            before = entry.question.tunnels
            others = [name for name in before if name != tunnel]
            tunnels = sorted([*others, tunnel]) if entry.question.id in wanted else others
            if tuple(tunnels) == before:
                continue
            entry.question = replace(entry.question, tunnels=tuple(tunnels))
            if tunnels or entry.question.is_live:
                changes.append(Changed(entry.question))
            else:
                changes += self.close(entry.question.id, Outcome.NOT_NEEDED)
        return changes

    def claim(self, question_id: str, client: Hashable, nonce: str) -> list[Change]:
        """Let a client answer a question as it is asked now. It may have claimed it before.

        Raises NoSuchQuestionError, and QuestionError for a question that has no answer.
        """
        entry = self._entry(question_id)
        if entry.question.subject.kind is Kind.TOUCH:
            raise QuestionError("a touch happens at the security key; there is nothing to type")
        entry.claims[client] = nonce
        return self._set_claimed(entry)

    def release(self, client: Hashable, question_id: str | None = None) -> list[Change]:
        """Forget the claims of a client, on one question or on all. It has gone, or declined."""
        changes = []
        for entry in self._entries.values():
            if question_id in {None, entry.question.id} and entry.claims.pop(client, ""):
                changes += self._set_claimed(entry)
        return changes

    def take(
        self, question_id: str, client: Hashable, nonce: str, answers: Sequence[Secret]
    ) -> Question:
        """Accept the answers to a question; they are tried next, and no others until then.

        Raises NoSuchQuestionError, and QuestionError for answers that cannot be accepted.
        """
        entry = self._entry(question_id)
        question = entry.question
        if entry.is_answered:
            raise QuestionError("another answer is being tried")
        if entry.claims.get(client) != nonce:
            raise QuestionError("the question was asked again since; claim it again")
        if not question.is_answerable:
            raise QuestionError("no login waits for an answer now")
        if len(answers) != len(question.prompts):
            count = len(question.prompts)
            raise QuestionError(f"expected {count} answers, not {len(answers)}")
        if any(len(answer) > MAX_ANSWER_SIZE for answer in answers):
            raise QuestionError(f"an answer has at most {MAX_ANSWER_SIZE} bytes")
        entry.is_answered = True
        return question

    def close(self, question_id: str, outcome: Outcome) -> list[Change]:
        """Close a question. Nothing changes if it is closed already."""
        entry = self._entries.pop(question_id, None)
        if entry is None:
            return []
        del self._ids[entry.question.subject.key]
        return [Closed(entry.question, outcome)]

    def _entry(self, question_id: str) -> _Entry:
        try:
            return self._entries[question_id]
        except KeyError:
            raise NoSuchQuestionError(question_id) from None

    def _set_claimed(self, entry: _Entry) -> list[Change]:
        claimed = bool(entry.claims)
        if claimed == entry.question.claimed:
            return []
        entry.question = replace(entry.question, claimed=claimed)
        return [Changed(entry.question)]
