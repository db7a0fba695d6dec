"""Calls of the control protocol about questions, for clients at which a person sits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.control.client import decode_result
from tunnelkeeper.control.payloads import Answered, Claimed, Questions
from tunnelkeeper.core.secret import wipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.control.client import Client
    from tunnelkeeper.core.secret import Secret
    from tunnelkeeper.core.snapshot import QuestionSnapshot

ANSWER_TIMEOUT = 60.0
"""Seconds for the verdict on an answer. Deriving a key from a passphrase takes long on purpose."""


def questions(client: Client) -> list[QuestionSnapshot]:
    """Return the open questions, oldest first."""
    return decode_result(client.call("questions"), Questions).questions


def attend(client: Client, names: Sequence[str] | None) -> None:
    """Say that a person at this client answers the questions of these tunnels; None: of all.

    It lasts as long as the connection. Tunnels that wait for a person try to log in now.
    """
    client.call("attend", names=None if names is None else list(names))


def claim(client: Client, question_id: str) -> Claimed:
    """Claim a question and return it as it is asked now. If it rests, a login begins."""
    return decode_result(client.call("claim", id=question_id), Claimed)


def answer(client: Client, claimed: Claimed, answers: Sequence[Secret]) -> Answered:
    """Answer a question that was claimed. The answers are wiped.

    accepted is None if the server decides; an event reports its decision.
    """
    try:
        params: dict[str, object] = {
            "id": claimed.question.id,
            "nonce": claimed.nonce,
            "lengths": [len(each) for each in answers],
        }
        result = client.call_with_secrets("answer", params, answers, ANSWER_TIMEOUT)
    finally:
        wipe(answers)
    return decode_result(result, Answered)


def decline(client: Client, question_id: str) -> None:
    """Withdraw a claim: the person does not answer. A login that waits only for it ends."""
    client.call("decline", id=question_id)
