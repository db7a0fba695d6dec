"""Logins by password: where the password comes from, how often it is sent, what is remembered."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.ssh.attempts import failure_of, no_leaks
from tests.ssh.login_server import Script, person, serve_logins
from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import connected
from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.core.failures import Cause
from tunnelkeeper.core.questions import Kind, Question
from tunnelkeeper.core.secret import Secret
from tunnelkeeper.questions.sources import AnswerSources, Found, HopKey, Log, SourceError
from tunnelkeeper.ssh import connect
from tunnelkeeper.ssh.auth import login_answers
from tunnelkeeper.ssh.connect import connect_hop
from tunnelkeeper.ssh.context import SshContext
from tunnelkeeper.ssh.transport import ClientTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.ssh.server import Server
    from tunnelkeeper.core.configuration import Host


class Store:
    """A source with one password for every hop."""

    def __init__(self, password: str) -> None:
        self.password_text = password
        self.hops: list[HopKey] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def passphrase(self, host: Host, path: str, log: Log) -> Found | None:
        return None

    async def password(self, host: Host, key: HopKey, log: Log) -> Found | None:
        self.hops.append(key)
        await self.may_answer.wait()
        return Found(Secret(self.password_text.encode()), "the store")


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def server(tmp_path: Path, script: Script) -> AsyncIterator[Server]:
    async with serve_logins(tmp_path, script) as server:
        yield server


@pytest.fixture
def context() -> SshContext:
    context = SshContext()
    context.unlocker.command = "tunnelkeeper unlock"
    return context


async def test_a_typed_password_logs_in_and_is_remembered_until_it_is_refused(
    server: Server, script: Script, context: SshContext
) -> None:
    progress = ProgressRecorder()
    async with person(context, ("right",)) as asked:
        async with connected(server.host(), progress, context=context):
            pass
        async with connected(server.host(), context=context):  # the password is in memory
            pass
        assert script.sent == [(b"right",), (b"right",)]
        script.decide = lambda _, answers: answers == (b"new",)
        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
            attempt = tasks.create_task(failure_of(server.host(), context=context))
            await until(lambda: len(asked) == 2)
            context.questions.disconnect("person")
            failure = await attempt
    assert asked[0].subject.kind is Kind.PASSWORD
    assert asked[0].subject.about == f"me@127.0.0.1:{server.port}"
    assert asked[0].prompts[0].text == "me@127.0.0.1's password:"
    assert asked[1].problem == "the password from memory was refused"
    assert progress.waits == ["waiting for an answer", ""]
    assert (failure.cause, failure.hint) == (Cause.ANSWER_NEEDED, "tunnelkeeper unlock t")
    assert script.sent[2:] == [(b"right",)]
    assert "person who was asked has left" in failure.message


async def test_a_password_is_sent_as_it_was_typed(
    server: Server, script: Script, context: SshContext
) -> None:
    script.decide = lambda _, answers: True
    text = "a\N{NO-BREAK SPACE}\N{LATIN SMALL LETTER E WITH ACUTE} \N{FULLWIDTH DIGIT ONE}\x07"
    async with person(context, (text,)), connected(server.host(), context=context):
        pass
    assert script.sent == [(text.encode(),)]


async def test_three_refused_passwords_end_the_login(
    server: Server, script: Script, context: SshContext
) -> None:
    async with person(context, ("a",), ("b",), ("c",)) as asked:
        failure = await failure_of(server.host(), context=context)
    assert script.sent == [(b"a",), (b"b",), (b"c",)]
    assert [question.problem for question in asked] == ["", *["the password was refused"] * 2]
    assert failure.cause is Cause.ANSWER_NEEDED
    assert "the answer was refused 3 times; login as me refused" in failure.message
    (question,) = context.questions.questions
    assert failure.question == question.id
    assert not question.is_live
    assert "refused 3 times" in question.problem


async def test_a_refused_password_is_not_sent_again_in_this_or_a_later_login(
    server: Server, script: Script, context: SshContext
) -> None:
    async with person(context, ("a",), ("a",), None) as asked:
        await failure_of(server.host(), context=context)
    assert script.sent == [(b"a",)]
    assert "refused before" in asked[2].problem
    async with person(context, ("a",), ("right",)), connected(server.host(), context=context):
        pass
    assert script.sent == [(b"a",), (b"right",)]


async def test_a_stored_password_needs_no_person_and_is_not_repeated_once_refused(
    server: Server, script: Script, context: SshContext
) -> None:
    store = Store("right")
    context.answers = AnswerSources((store,))
    async with connected(server.host(), context=context):
        pass
    store.password_text = "wrong"
    for _ in range(2):
        failure = await failure_of(server.host(), context=context)
        assert failure.cause is Cause.ANSWER_NEEDED
        assert "no person is present to answer: the password from the store was refused" in (
            failure.message
        )
    assert script.sent == [(b"right",), (b"wrong",)]
    assert store.hops[0] == HopKey(f"me@127.0.0.1:{server.port}")
    assert (
        context.questions.questions[0].problem == "the password from the store was refused before"
    )


async def test_a_stored_password_that_was_refused_stays_refused_after_a_success(
    server: Server, script: Script, context: SshContext
) -> None:
    context.answers = AnswerSources((Store("stale"),))
    async with person(context, ("right",)):
        for _ in range(2):
            async with connected(server.host(), context=context):
                pass
    assert script.sent == [(b"stale",), (b"right",), (b"right",)]


async def test_without_a_person_the_login_ends_and_says_what_it_asks_for(
    server: Server, script: Script, context: SshContext
) -> None:
    failure = await failure_of(server.host(), context=context)
    assert failure.cause is Cause.ANSWER_NEEDED
    assert failure.hop == f"me@127.0.0.1:{server.port}"
    assert failure.message == ("the login asks for a password, and no person is present to answer")
    assert failure.question == context.questions.questions[0].id
    assert script.sent == []


async def test_refused_keys_beside_passwords_stay_a_refused_login_without_a_person(
    server: Server, script: Script, context: SshContext
) -> None:
    script.methods = ("publickey", "password", "keyboard-interactive")
    script.decide = lambda *_: False
    failure = await failure_of(server.host(), context=context)
    assert failure.cause is Cause.AUTH  # it retries: an administrator may restore the key
    assert failure.hint.endswith(". Or log in by a password: `tunnelkeeper restart t`")
    assert script.begun == ["none", "publickey", "publickey"]
    async with person(context, None, None):
        failure = await failure_of(server.host(), context=context)
    assert failure.cause is Cause.ANSWER_NEEDED
    assert "the question was declined" in failure.message


async def test_batch_mode_asks_nothing_and_says_so(
    server: Server, script: Script, context: SshContext
) -> None:
    async with person(context, ("right",)):
        failure = await failure_of(server.host(batch_mode=True), context=context)
        assert failure.cause is Cause.AUTH
        assert "BatchMode allows no questions" in failure.message
        context.answers = AnswerSources((Store("right"),))
        async with connected(server.host(batch_mode=True), context=context):
            pass
    assert script.sent == [(b"right",)]


async def test_the_settings_of_a_host_turn_methods_off(
    server: Server, script: Script, context: SshContext
) -> None:
    async with person(context, ("right",)) as asked:
        for change in (
            {"password_authentication": False},
            {"preferred_authentications": ("publickey",)},
            {"number_of_password_prompts": 0},
        ):
            failure = await failure_of(replace(server.host(), **change), context=context)
            assert failure.cause is Cause.AUTH
    assert asked == []
    assert script.sent == []


async def test_an_expired_password_is_changed_and_the_new_one_remembered(
    server: Server, script: Script, context: SshContext
) -> None:
    script.demand = b"Your password has expired."
    script.decide = lambda _, answers: answers[0] == b"right" and answers[1:] != (b"short",)
    answers = (
        ("right",),
        ("right", "one", "two"),
        ("right", "short", "short"),
        ("right", "long", "long"),
    )
    async with person(context, *answers) as asked:
        async with connected(server.host(), context=context):
            pass
        script.demand, script.decide = b"", lambda _, answers: answers == (b"long",)
        async with connected(server.host(), context=context):
            pass
    assert script.sent == [(b"right", b"short"), (b"right", b"long"), (b"long",)]
    assert "the server says: 'Your password has expired.'" in asked[1].text
    assert asked[2].problem == "the new passwords differ"
    assert asked[3].problem == "the server does not accept the new password"
    assert len(asked[1].prompts) == 3


async def test_the_login_ends_before_the_server_ends_it(
    server: Server, script: Script, context: SshContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "LOGIN_TIMEOUT", 0.5)
    async with person(context) as asked:
        failure = await failure_of(server.host(), context=context)
    assert asked[0].deadline is not None
    assert failure.cause is Cause.ANSWER_NEEDED
    assert failure.message == "the login asks for a password; no answer came within 0.5 s"
    assert context.questions.questions[0].problem == failure.message


async def test_a_person_who_is_asked_holds_no_place_among_the_logins(
    server: Server, script: Script, context: SshContext
) -> None:
    host = server.host()
    async with (
        person(context) as asked,
        asyncio.timeout(DEADLINE),
        asyncio.TaskGroup() as tasks,
    ):
        attempt = tasks.create_task(failure_of(host, context=context))
        await until(lambda: asked)
        slots = list(context.login_limiter._servers.values())
        assert [slot.in_progress for slot in slots] == [0]
        context.questions.claim("person", asked[0].id)
        context.questions.decline("person", asked[0].id)
        assert "declined" in (await attempt).message


async def test_the_size_of_a_message_does_not_show_the_length_of_the_password(
    server: Server, script: Script, context: SshContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    send = ClientTransport._send

    def record(self: ClientTransport, data: bytes) -> None:
        if self.answers is not None and self.answers._request is not None:
            sizes.append(len(data))
        send(self, data)

    monkeypatch.setattr(ClientTransport, "_send", record)
    async with person(context, ("a",), ("a" * 30,), None):
        await failure_of(server.host(), context=context)
    assert script.sent == [(b"a",), (b"a" * 30,)]
    assert len({size for size in sizes if size > 100}) == 1


async def test_a_password_that_ends_the_login_was_refused_too(
    server: Server, script: Script, context: SshContext
) -> None:
    script.max_refused = 0
    context.answers = AnswerSources((Store("wrong"),))
    failure = await failure_of(server.host(), context=context)
    assert failure.cause is Cause.AUTH
    failure = await failure_of(server.host(), context=context)
    assert failure.cause is Cause.ANSWER_NEEDED
    assert "the password from the store was refused before" in failure.message
    assert script.sent == [(b"wrong",)]


async def test_a_server_that_demands_new_passwords_without_end_is_left(
    server: Server, script: Script, context: SshContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_answers, "MAX_ROUNDS", 2)
    script.demand = b"It is too short."
    script.decide = lambda _, answers: len(answers) == 1
    changes = [("right", text, text) for text in ("one", "two", "three")]
    async with person(context, ("right",), *changes) as asked:
        failure = await failure_of(server.host(), context=context)
    assert len(asked) == 3
    assert "the server asks more questions than a login can have" in failure.message


class BrokenStore(Store):
    """A source that fails."""

    async def password(self, host: Host, key: HopKey, log: Log) -> Found | None:
        raise SourceError("the store is locked")


async def test_a_source_that_fails_is_named_and_tried_again(
    server: Server, context: SshContext
) -> None:
    context.answers = AnswerSources((BrokenStore(""),))
    host = replace(server.host(), identity_files=(), pubkey_authentication=False)
    failure = await failure_of(host, context=context)
    assert failure.question
    assert failure.source_failed
    assert failure.message.endswith("; the store is locked")
    context.answers = AnswerSources()
    assert not (await failure_of(host, context=context)).source_failed


async def test_a_login_that_waits_for_a_store_can_be_cancelled(
    server: Server, context: SshContext
) -> None:
    store = Store("right")
    store.may_answer.clear()
    context.answers = AnswerSources((store,))
    async with asyncio.timeout(DEADLINE), no_leaks():
        attempt = asyncio.get_running_loop().create_task(
            connect_hop(server.host(), None, context, ProgressRecorder())
        )
        await until(lambda: store.hops)
        attempt.cancel()
        await asyncio.wait([attempt])
        assert attempt.cancelled()


def _has_length(questions: list[Question], count: int) -> bool:
    return len(questions) == count


async def test_a_question_is_asked_again_after_a_change_of_network(
    server: Server, script: Script, context: SshContext
) -> None:
    async with (
        person(context) as asked,
        asyncio.timeout(DEADLINE),
        asyncio.TaskGroup() as tasks,
    ):
        attempt = tasks.create_task(connect_hop(server.host(), None, context, ProgressRecorder()))
        for count in range(1, 6):  # more often than a person may be asked
            await until(partial(_has_length, asked, count))
            context.connection_tracker.network_changed(None)
        await until(partial(_has_length, asked, 6))
        claim = context.questions.claim("person", asked[-1].id)
        secrets = [Secret(b"right")]
        await context.questions.answer("person", claim.question.id, claim.nonce, secrets)
        await (await attempt).close()
    assert script.sent == [(b"right",)]


async def test_a_stored_password_is_used_again_after_a_change_of_network(
    server: Server, script: Script, context: SshContext
) -> None:
    context.answers = AnswerSources((Store("right"),))
    script.decide = lambda *_: None if len(script.requests) == 1 else True
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        attempt = tasks.create_task(connect_hop(server.host(), None, context, ProgressRecorder()))
        await until(lambda: script.requests)
        context.connection_tracker.network_changed(None)
        await (await attempt).close()
    assert script.sent == [(b"right",), (b"right",)]
