"""Logins by keyboard-interactive, alone and together with other methods."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.ssh.attempts import failure_of
from tests.ssh.login_server import Prompted, Script, person, serve_logins
from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import connected
from tests.ssh.test_password_logins import Store
from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.core.failures import Cause
from tunnelkeeper.core.questions import MAX_PROMPTS, Kind
from tunnelkeeper.core.secret import Secret
from tunnelkeeper.questions.sources import AnswerSources
from tunnelkeeper.ssh.auth.login_answers import MAX_ROUNDS
from tunnelkeeper.ssh.connection_pool import ConnectionPool
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.ssh.login_server import Answers
    from tests.ssh.server import Server

KEYBOARD = "keyboard-interactive"
PASSWORD = Prompted(((b"Password: ", False),))
CODE = Prompted(((b"Verification code: ", False),))


@pytest.fixture
def script() -> Script:
    return Script(methods=(KEYBOARD,))


@pytest.fixture
async def server(tmp_path: Path, script: Script) -> AsyncIterator[Server]:
    async with serve_logins(tmp_path, script) as server:
        yield server


@pytest.fixture
def context() -> SshContext:
    context = SshContext()
    context.unlocker.command = "tunnelkeeper unlock"
    return context


def accept(*expected: bytes) -> object:
    return lambda _, answers: answers == expected


async def test_every_round_is_answered_and_text_of_any_encoding_is_shown(
    server: Server, script: Script, context: SshContext
) -> None:
    script.rounds = (
        Prompted(instruction=b"Acc\xe8s r\xe9serv\xe9 \x1b[31m"),
        Prompted(((b"User\xff: ", True), (b"Token: ", False)), b"Gate", b"Two\nlines"),
        Prompted(),
        CODE,
        Prompted(instruction=b"Welcome"),
    )
    script.decide = lambda *_: True
    progress = ProgressRecorder()
    async with (
        person(context, ("ann", "t\xfc"), ("123",)) as asked,
        connected(server.host(), progress, context=context),
    ):
        pass
    assert script.sent == [(b"ann", "t\xfc".encode(), b"123")]
    first, second = asked
    assert first.subject.kind is Kind.CODES
    assert [(p.text, p.echo) for p in first.prompts] == [(r"User\xff:", True), ("Token:", False)]
    assert first.text.startswith(f"me@127.0.0.1:{server.port} asks for 2 answers; the server says:")
    assert r"Acc\\xe8s" in first.text
    assert "Gate / Two / lines" in first.text
    assert "\x1b" not in first.text
    assert second.prompts[0].text == "Verification code:"
    assert any("says: Welcome" in line for line in progress.infos)


async def test_a_stored_password_answers_a_prompt_for_one_and_nothing_else(
    server: Server, script: Script, context: SshContext
) -> None:
    context.answers = AnswerSources((Store("right"),))
    script.rounds, script.decide = (PASSWORD,), accept(b"right")  # type: ignore[assignment]
    async with connected(server.host(), context=context):
        pass
    script.rounds = (PASSWORD, CODE)
    failure = await failure_of(server.host(), context=context)
    assert failure.cause is Cause.ANSWER_NEEDED
    assert failure.message == ("the login asks for an answer, and no person is present to answer")
    assert script.sent == [(b"right",)]
    begun = len(script.begun)
    failure = await failure_of(server.host(), context=context)
    assert script.begun[begun:] == ["none"], "it could send a code to someone"
    async with person(context, ("123",)) as asked:
        script.decide = accept(b"right", b"123")  # type: ignore[assignment]
        async with connected(server.host(), context=context):
            pass
    assert [question.subject.kind for question in asked] == [Kind.CODES]


async def test_a_password_that_failed_together_with_a_code_is_typed_the_next_time(
    server: Server, script: Script, context: SshContext
) -> None:
    context.answers = AnswerSources((Store("right"),))
    script.rounds, script.decide = (PASSWORD, CODE), accept(b"right", b"2")  # type: ignore[assignment]
    async with (
        person(context, ("1",), ("right",), ("2",)) as asked,
        connected(server.host(), context=context),
    ):
        pass
    assert script.sent == [(b"right", b"1"), (b"right", b"2")]
    assert asked[1].problem == "the answer was refused"


async def test_codes_are_never_kept(server: Server, script: Script, context: SshContext) -> None:
    script.rounds, script.decide = (CODE,), accept(b"123")  # type: ignore[assignment]
    async with person(context, ("123",), None) as asked:
        async with connected(server.host(), context=context):
            pass
        failure = await failure_of(server.host(), context=context)
    assert len(asked) == 2
    assert "declined" in failure.message
    assert context.questions.questions[0].tunnels == ("t",)


async def test_a_refused_code_is_not_repeated_but_a_choice_is(
    server: Server, script: Script, context: SshContext
) -> None:
    script.rounds, script.decide = (CODE,), lambda *_: False
    async with person(context, ("1",), ("1",), ("2",)) as asked:
        await failure_of(server.host(), context=context)
    assert script.sent == [(b"1",), (b"2",)]
    assert "refused before" in asked[2].problem
    script.requests.clear()
    script.rounds = (Prompted(((b"Option (1-2): ", True),)),)
    async with person(context, ("1",), ("1",), ("1",)):
        failure = await failure_of(server.host(), context=context)
    assert script.sent == [(b"1",)] * 3
    assert "refused 3 times" in failure.message


async def test_a_password_that_was_changed_in_the_dialogue_is_remembered(
    server: Server, script: Script, context: SshContext
) -> None:
    change = [Prompted(((p, False),)) for p in (b"Current password: ", b"New password: ")]
    script.rounds = (PASSWORD, *change, Prompted(((b"Retype new password: ", False),)))
    script.decide = lambda *_: True
    async with (
        person(context, ("old",), ("old",), ("new",), ("new",)) as asked,
        connected(server.host(), context=context),
    ):
        pass
    assert [q.subject.kind for q in asked] == [Kind.PASSWORD, *[Kind.CODES] * 3]
    script.rounds = (PASSWORD,)
    async with connected(server.host(), context=context):
        pass
    assert script.sent == [(b"old", b"old", b"new", b"new"), (b"new",)]


@pytest.mark.parametrize(
    ("first", "then"), [("publickey", KEYBOARD), (KEYBOARD, "publickey"), ("password", KEYBOARD)]
)
async def test_two_methods_in_either_order(
    server: Server, script: Script, context: SshContext, first: str, then: str
) -> None:
    script.methods, script.rounds = (first,), (CODE,)
    answers = {"publickey": (), KEYBOARD: (b"123",), "password": (b"right",)}

    def decide(method: str, given: Answers) -> bool | tuple[str, ...]:
        if given != answers[method]:
            return False
        return (then,) if method == first else True

    script.decide = decide
    typed = [(text[0].decode(),) for m in (first, then) if (text := answers[m])]
    async with person(context, *typed), connected(server.host(), context=context):
        pass
    assert [method for method, _ in script.requests] == [first, then]


async def test_a_key_and_a_code_without_a_person_begin_no_dialogue(
    server: Server, script: Script, context: SshContext
) -> None:
    script.methods, script.rounds = ("publickey",), (CODE,)
    script.decide = lambda method, _: (KEYBOARD,) if method == "publickey" else True
    failure = await failure_of(server.host(), context=context)
    assert failure.cause is Cause.ANSWER_NEEDED
    assert failure.hint == "tunnelkeeper unlock t"
    assert KEYBOARD not in script.begun


async def test_a_server_that_closes_during_the_question_is_not_tried_again(
    server: Server, script: Script, context: SshContext
) -> None:
    script.rounds, script.closes_when_asking = (CODE,), True
    async with person(context) as asked:
        failure = await failure_of(server.host(), context=context)
        assert len(asked) == 1
    assert failure.cause is Cause.ANSWER_NEEDED
    assert failure.question == asked[0].id
    assert "closed while it waited for the answer" in failure.message
    (question,) = context.questions.questions
    assert (question.is_live, question.prompts, question.problem) == (False, (), failure.message)


@pytest.mark.parametrize(
    "rounds",
    [(Prompted(),) * (MAX_ROUNDS + 1), (Prompted(((b"x", False),) * (MAX_PROMPTS + 1)),)],
    ids=["rounds", "prompts"],
)
async def test_a_server_that_asks_without_end_is_left(
    server: Server, script: Script, context: SshContext, rounds: tuple[Prompted, ...]
) -> None:
    script.rounds = rounds
    async with person(context) as asked:
        failure = await failure_of(server.host(), context=context)
    assert asked == []
    assert failure.cause is Cause.AUTH
    assert "more questions than a login can have" in failure.message


async def test_a_jump_host_is_asked_for_once_by_all_tunnels_and_never_for_another_hop(
    server: Server, script: Script, context: SshContext, tmp_path: Path
) -> None:
    script.rounds, script.decide = (CODE,), accept(b"123")  # type: ignore[assignment]
    (tmp_path / "inner").mkdir()
    inner = Script(rounds=(CODE,), methods=(KEYBOARD,))
    inner.decide = accept(b"456")  # type: ignore[assignment]
    async with (
        serve_logins(tmp_path / "inner", inner) as last,
        ConnectionPool(context) as pool,
        person(context, ("123",), ("456",), ("456",)) as asked,
        asyncio.timeout(DEADLINE),
        asyncio.TaskGroup() as tasks,
    ):
        chain = (server.host(), last.host())
        first = tasks.create_task(pool.connect(chain, ProgressRecorder()))
        await first
        second = await pool.connect(chain, ProgressRecorder())
        for connections in (second, first.result()):
            await connections.close()
    hop = f"me@127.0.0.1:{server.port}"
    assert asked[0].subject.about == hop
    assert asked[1].subject.about == f"me@127.0.0.1:{last.port} through {hop}"
    assert script.sent == [(b"123",)]
    assert inner.sent == [(b"456",)] * 2


async def test_a_second_tunnel_does_not_make_the_server_ask_twice_at_a_time(
    server: Server, script: Script, context: SshContext
) -> None:
    script.rounds, script.decide = (CODE,), accept(b"123")  # type: ignore[assignment]
    async with (
        person(context) as asked,
        asyncio.timeout(DEADLINE),
        asyncio.TaskGroup() as tasks,
    ):
        attempt = tasks.create_task(failure_of(server.host(), context=context))
        await until(lambda: asked)
        other = await failure_of(server.host(), ProgressRecorder(tunnel="u"), context=context)
        assert "another login on this host is asking" in other.message
        assert script.begun.count(KEYBOARD) == 1
        context.questions.disconnect("person")
        assert "has left" in (await attempt).message
    assert context.questions.questions[0].tunnels == ("t", "u")


async def test_nothing_is_asked_before_the_host_key_is_verified(
    server: Server, script: Script, context: SshContext, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    async with person(context, ("123",)) as asked:
        failure = await failure_of(server.host(user_known_hosts=(str(empty),)), context=context)
    assert failure.cause is Cause.HOST_KEY_UNKNOWN
    assert (asked, script.begun) == ([], [])


async def test_answers_that_are_shown_while_they_are_typed_are_wiped_too(
    server: Server, script: Script, context: SshContext
) -> None:
    script.rounds = (Prompted(((b"Password: ", False), (b"Code: ", True))),)
    script.decide = lambda *_: True
    secrets = [Secret(b"right"), Secret(b"123456")]
    async with (
        person(context) as asked,
        asyncio.timeout(DEADLINE),
        asyncio.TaskGroup() as tasks,
    ):
        login = tasks.create_task(log_in(server, context))
        await until(lambda: asked)
        claim = context.questions.claim("person", asked[0].id)
        await context.questions.answer("person", asked[0].id, claim.nonce, secrets)
        await login
    assert script.sent == [(b"right", b"123456")]
    assert not any(secrets)


async def log_in(server: Server, context: SshContext) -> None:
    async with connected(server.host(), context=context):
        pass
