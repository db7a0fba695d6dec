"""A person at a client of the control protocol, who answers the questions of tunnels."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.e2e.waiting import wait_until
from tunnelkeeper.control import question_client
from tunnelkeeper.control.client import Client
from tunnelkeeper.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.program import Program
    from tunnelkeeper.core.snapshot import QuestionSnapshot


class Person:
    """Answers questions, each attempt once. asked: the questions that were answered."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.asked: list[QuestionSnapshot] = []

    def attend(self, *tunnels: str) -> None:
        """Answer the questions of these tunnels. Those that wait log in now."""
        question_client.attend(self.client, tunnels)

    def answer(self, tunnel: str, *texts: str) -> QuestionSnapshot:
        """Wait until a login of a tunnel asks, and answer. Return the question."""
        question = self.wait_for_question(tunnel)
        claimed = question_client.claim(self.client, question.id)
        secrets = [Secret.from_text(text) for text in texts]
        question_client.answer(self.client, claimed, secrets)
        return question

    def decline(self, tunnel: str) -> None:
        """Wait until a login of a tunnel asks, and decline to answer."""
        question = self.wait_for_question(tunnel)
        question_client.claim(self.client, question.id)
        question_client.decline(self.client, question.id)

    def wait_for_question(self, tunnel: str) -> QuestionSnapshot:
        """Wait until a login of a tunnel asks what was not answered here."""

        def find() -> QuestionSnapshot | None:
            seen = {(q.id, q.attempt) for q in self.asked}
            for question in question_client.questions(self.client):
                is_new = (question.id, question.attempt) not in seen
                if tunnel in question.tunnels and question.live and is_new:
                    return question
            return None

        question = wait_until(find, message=f"no login of {tunnel} asks")
        self.asked.append(question)
        return question


@contextmanager
def person(program: Program, *tunnels: str) -> Iterator[Person]:
    """Let a person attend tunnels of a program while the body runs."""
    with Client(program.socket) as client:
        attending = Person(client)
        attending.attend(*tunnels)
        yield attending
