"""The sources of stored answers that every program uses, in their order."""

from __future__ import annotations

from tunnelkeeper.questions.answer_commands import AnswerCommands
from tunnelkeeper.questions.credentials import Credentials
from tunnelkeeper.questions.keyring_source import Keyring
from tunnelkeeper.questions.sources import AnswerSources


def stored_answers() -> AnswerSources:
    """Return the sources: commands, credentials, keyring, and then memory.

    What a host does not configure is not asked.
    """
    return AnswerSources((AnswerCommands(), Credentials(), Keyring()))
