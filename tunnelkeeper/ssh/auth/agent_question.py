"""The question whether a key may be added to the agent (AddKeysToAgent ask).

It is asked during the login, of a person who is present. Without an answer the login proceeds and
the key is not added.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tunnelkeeper.core.questions import Kind, Prompt
from tunnelkeeper.core.secret import wipe
from tunnelkeeper.questions.login_dialog import AnswerNeededError
from tunnelkeeper.ssh.auth.login_request import WAITING

if TYPE_CHECKING:
    from tunnelkeeper.ssh.auth.login_answers import LoginAnswers

ASK_TIMEOUT = 30.0
"""Seconds that a person has for the answer. The server's LoginGraceTime passes meanwhile."""


async def ask_to_add(login: LoginAnswers, text: str) -> bool:
    """Return whether a person lets a key be added. As in ssh, an empty answer is a yes."""
    if login.host.batch_mode or not login.dialog.has_person:
        return False
    login.on_asking()
    login.progress.waiting(WAITING)
    prompts = (Prompt.of(f"{text} (yes/no) ", echo=True),)
    deadline = min(login.deadline(), asyncio.get_running_loop().time() + ASK_TIMEOUT)
    about = f"{text} It is used for the login on {login.dialog.hop}"
    try:
        async with asyncio.timeout(ASK_TIMEOUT):
            answers = await login.dialog.ask(Kind.CODES, about, prompts, deadline)
    except (AnswerNeededError, TimeoutError):
        return False
    finally:
        login.progress.waiting("")
    reply = answers[0].reveal_text().strip().lower()
    wipe(answers)
    return reply in {"", "yes"}
