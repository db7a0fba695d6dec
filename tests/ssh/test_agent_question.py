"""The question whether a key may be added to the agent (AddKeysToAgent ask)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.ssh import test_encrypted_keys
from tests.ssh.test_encrypted_keys import PASSPHRASE, Person, list_agent
from tests.ssh.waiting import until
from tunnelkeeper.core.failures import Cause

if TYPE_CHECKING:
    from tests.ssh.auth.offers import Agent
    from tests.ssh.server import Server

server, agent, person = (
    test_encrypted_keys.server,
    test_encrypted_keys.agent,
    test_encrypted_keys.person,
)


@pytest.mark.parametrize(("reply", "is_added"), [("yes", True), ("", True), ("no", False)])
async def test_a_person_who_is_present_is_asked_before_a_key_is_added(
    server: Server, person: Person, agent: Agent, reply: str, is_added: bool
) -> None:
    host = server.host(identity_agent=agent.socket, add_keys_to_agent="ask")
    await person.answer((await person.fail(host)).question, PASSPHRASE)
    board = person.context.questions
    board.attend("client", None)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(person.log_in(host))
        await until(lambda: board.questions and board.questions[0].is_answerable)
        [question] = board.questions
        assert question.prompts[0].text.startswith(f"Add key {server.user_key_file}")
        assert question.prompts[0].echo
        await person.answer(question.id, reply)

    assert (server.user_key.get_fingerprint() in await list_agent(agent)) == is_added
    assert board.questions == ()


async def test_a_connection_lost_while_the_agent_is_asked_about_is_tried_again(
    server: Server, person: Person, agent: Agent
) -> None:
    host = server.host(identity_agent=agent.socket, add_keys_to_agent="ask")
    await person.answer((await person.fail(host)).question, PASSPHRASE)
    board = person.context.questions
    board.attend("client", None)
    async with asyncio.TaskGroup() as tasks:
        attempt = tasks.create_task(person.fail(host))
        await until(lambda: board.questions and board.questions[0].is_answerable)
        for connection in list(server.connections):
            connection.abort()
    assert (attempt.result().cause, attempt.result().question) == (Cause.LOST, "")
