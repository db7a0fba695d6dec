"""The book of questions: random callers and clients, compared with a simple model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tunnelkeeper.core.questions import (
    MAX_ANSWER_SIZE,
    MAX_PROMPTS,
    PROMPT_LIMIT,
    TEXT_LIMIT,
    Change,
    Changed,
    Closed,
    Kind,
    NoSuchQuestionError,
    Outcome,
    Prompt,
    Question,
    QuestionBook,
    QuestionError,
    Subject,
)
from tunnelkeeper.core.secret import Secret

SUBJECTS = st.sampled_from(
    [
        Subject(Kind.PASSPHRASE, "/k"),
        Subject(Kind.HOST_KEY, "a@b:22"),
        Subject(Kind.PASSWORD, "a@b:22"),
        Subject(Kind.CODES, "a@b:22"),
        Subject(Kind.CODES, "c@d:22"),
        Subject(Kind.TOUCH, "a@b:22"),
    ]
)
TUNNELS = st.sampled_from(["db", "web", "logs"])
CLIENTS = st.sampled_from(["cli", "dashboard"])
IDS = st.integers(1, 12).map("q{}".format)
TEXTS = st.sampled_from(["one", "two"])
PROMPTS = st.lists(st.builds(Prompt, TEXTS, st.booleans()), max_size=2)


class Book(RuleBasedStateMachine):
    """A book, its clients' view of it, and the nonces that must be valid."""

    def __init__(self) -> None:
        super().__init__()
        self.book = QuestionBook()
        self.seen: dict[str, Question] = {}
        self.nonces: dict[tuple[str, str], str] = {}
        self.tried: set[str] = set()
        self.closed: set[str] = set()
        self.count = 0

    def publish(self, changes: list[Change]) -> None:
        for change in changes:
            before = self.seen.get(change.question.id)
            match change:
                case Changed(question=question):
                    assert question.id not in self.closed
                    if before is None or before.attempt != question.attempt:
                        self.void(question.id)
                    self.seen[question.id] = question
                case Closed(question=question):
                    assert before is not None
                    del self.seen[question.id]
                    self.closed.add(question.id)
                    self.void(question.id)

    def void(self, question_id: str) -> None:
        self.nonces = {key: n for key, n in self.nonces.items() if key[0] != question_id}
        self.tried.discard(question_id)

    @rule(subject=SUBJECTS, text=TEXTS, prompts=PROMPTS, tunnel=TUNNELS, is_live=st.booleans())
    def ask(
        self, subject: Subject, text: str, prompts: list[Prompt], tunnel: str, is_live: bool
    ) -> None:
        before = self.book.find(subject)
        question, changes = self.book.ask(subject, text, prompts, tunnel=tunnel, is_live=is_live)
        self.publish(changes)
        assert tunnel in question.tunnels
        if before is not None:
            assert question.id == before.id
            assert question.attempt in {before.attempt, before.attempt + 1}

    @rule(question_id=IDS)
    def rest(self, question_id: str) -> None:
        if question_id in self.seen:
            self.publish(self.book.rest(question_id, "one"))
            assert question_id not in self.seen or not self.seen[question_id].is_live

    @rule(tunnel=TUNNELS, question_ids=st.frozensets(IDS, max_size=2))
    def wait(self, tunnel: str, question_ids: frozenset[str]) -> None:
        self.publish(self.book.wait(tunnel, question_ids))
        for question in self.book.questions:
            assert (tunnel in question.tunnels) == (question.id in question_ids)

    @rule(question_id=IDS, tunnel=TUNNELS)
    def join(self, question_id: str, tunnel: str) -> None:
        if question_id in self.seen:
            self.publish(self.book.join(question_id, tunnel))
            assert tunnel in self.seen[question_id].tunnels

    @rule(question_id=IDS, client=CLIENTS)
    def claim(self, question_id: str, client: str) -> None:
        self.count += 1
        nonce = f"n{self.count}"
        question = self.seen.get(question_id)
        if question is None:
            with pytest.raises(NoSuchQuestionError):
                self.book.claim(question_id, client, nonce)
        elif question.subject.kind is Kind.TOUCH:
            with pytest.raises(QuestionError):
                self.book.claim(question_id, client, nonce)
        else:
            self.publish(self.book.claim(question_id, client, nonce))
            self.nonces[question_id, client] = nonce

    @rule(client=CLIENTS)
    def leave(self, client: str) -> None:
        self.publish(self.book.release(client))
        self.nonces = {key: n for key, n in self.nonces.items() if key[1] != client}

    @rule(question_id=IDS, client=CLIENTS, is_right=st.booleans(), count=st.integers(0, 2))
    def take(self, question_id: str, client: str, is_right: bool, count: int) -> None:
        nonce = self.nonces.get((question_id, client), "") if is_right else "n0"
        answers = [Secret(b"x")] * count
        question = self.seen.get(question_id)
        accepts = (
            question is not None
            and question_id not in self.tried
            and bool(nonce)
            and is_right
            and question.is_answerable
            and len(question.prompts) == count
        )
        if accepts:
            assert self.book.take(question_id, client, nonce, answers) == question
            self.tried.add(question_id)
        else:
            with pytest.raises(QuestionError):
                self.book.take(question_id, client, nonce, answers)

    @rule(question_id=IDS)
    def close(self, question_id: str) -> None:
        self.publish(self.book.close(question_id, Outcome.ANSWERED))

    @invariant()
    def clients_see_what_the_book_holds(self) -> None:
        assert {question.id: question for question in self.book.questions} == self.seen

    @invariant()
    def there_is_one_question_for_each_subject(self) -> None:
        keys = [question.subject.key for question in self.book.questions]
        assert len(keys) == len(set(keys))

    @invariant()
    def a_question_is_claimed_while_a_claim_is_valid(self) -> None:
        for question in self.book.questions:
            assert question.claimed == any(key[0] == question.id for key in self.nonces)


TestBook = Book.TestCase


@given(text=st.text(max_size=3000), problem=st.text(max_size=3000))
def test_texts_are_printable_and_bounded(text: str, problem: str) -> None:
    prompts = [Prompt.of(text)] * (MAX_PROMPTS + 5)
    question, _ = QuestionBook().ask(Subject(Kind.CODES, "h"), text, prompts, problem=problem)
    assert len(question.prompts) == MAX_PROMPTS
    for shown, limit in [
        (question.text, TEXT_LIMIT),
        (question.prompts[0].text, PROMPT_LIMIT),
        (question.problem, TEXT_LIMIT),
    ]:
        assert shown.isprintable()
        assert len(shown) <= limit


def test_an_answer_that_is_too_long_is_refused() -> None:
    book = QuestionBook()
    question, _ = book.ask(Subject(Kind.CODES, "h"), "text", [Prompt("code")], tunnel="db")
    book.claim(question.id, "cli", "n")
    with pytest.raises(QuestionError, match="bytes"):
        book.take(question.id, "cli", "n", [Secret(b"x" * (MAX_ANSWER_SIZE + 1))])


def test_a_secret_shows_nothing() -> None:
    secret = Secret(b"battery")
    assert "battery" not in f"{secret!r} {secret} {[secret]} {vars(Secret)}"
    with pytest.raises(TypeError):
        secret.__reduce__()
    secret.wipe()
    assert secret.reveal() == b""
