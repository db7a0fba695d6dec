"""Logins with encrypted private keys: stored passphrases, questions, and keys held in memory."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import threading
import traceback
from typing import TYPE_CHECKING

import pytest

from tests.ssh.attempts import failure_of
from tests.ssh.auth.offers import Agent
from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import Server, new_key, serve, write_key
from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.core.failures import Cause, FailureError
from tunnelkeeper.core.secret import Secret
from tunnelkeeper.questions.sources import Found, HopKey, Log, SourceError
from tunnelkeeper.ssh.auth import key_unlocker
from tunnelkeeper.ssh.auth.key_encryption import decrypt
from tunnelkeeper.ssh.connect import connect_hop
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncssh

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.core.failures import Failure
    from tunnelkeeper.core.questions import Verdict

PASSPHRASE = "correct-horse-battery"


class StoredSource:
    """A source with one passphrase. calls: how often it was asked."""

    def __init__(self, passphrase: str) -> None:
        self._passphrase = passphrase
        self.calls = 0

    async def passphrase(self, host: Host, path: str, log: Log) -> Found | None:
        self.calls += 1
        return Found(Secret.from_text(self._passphrase), "passphrase_command")

    async def password(self, host: Host, key: HopKey, log: Log) -> Found | None:
        return None


class Person:
    """A process whose questions a person answers. retried: the tunnels that may try again."""

    def __init__(self) -> None:
        self.context = SshContext()
        self.context.unlocker.command = "tunnelkeeper unlock"
        self.retried: list[str] = []
        self.context.questions.retry = self.retried.append

    async def answer(self, question_id: str, passphrase: str) -> Verdict:
        board = self.context.questions
        claim = board.claim("client", question_id)
        secret = Secret.from_text(passphrase)
        return await board.answer("client", question_id, claim.nonce, [secret])

    async def fail(self, host: Host, tunnel: str = "t") -> Failure:
        return await failure_of(host, ProgressRecorder(tunnel=tunnel), context=self.context)

    async def log_in(self, host: Host, progress: ProgressRecorder | None = None) -> None:
        """Connect and close the connection."""
        async with asyncio.timeout(DEADLINE):
            listener = progress or ProgressRecorder()
            connection = await connect_hop(host, None, self.context, listener)
        await connection.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Run a server whose user key is encrypted."""
    key = new_key()
    async with serve(tmp_path, user_key=key) as running:
        write_key(tmp_path / "user_key", key, PASSPHRASE)
        yield running


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    running = Agent(tmp_path)
    await until(running.is_running)
    yield running
    running.end()


@pytest.fixture
def person() -> Person:
    return Person()


async def test_the_passphrase_is_asked_once_for_all_tunnels_and_the_key_stays_in_memory(
    server: Server, person: Person
) -> None:
    host, _path = server.host(), server.user_key_file
    first, second = await person.fail(host, "db"), await person.fail(host, "web")

    assert first.cause is Cause.ANSWER_NEEDED
    assert first.question == second.question
    assert first.hint == "tunnelkeeper unlock db"
    [question] = person.context.questions.questions
    assert question.tunnels == ("db", "web")
    wrong = await person.answer(first.question, "guess")
    assert (wrong.accepted, wrong.problem) == (False, "the passphrase is wrong")
    assert (await person.answer(first.question, PASSPHRASE)).accepted
    assert person.retried == ["db", "web"]
    assert person.context.questions.questions == ()
    await person.log_in(host)
    await person.log_in(host)

    person.context.unlocker.lock()
    assert (await person.fail(host)).question not in {"", first.question}


async def test_a_changed_key_file_is_locked_again(server: Server, person: Person) -> None:
    failure = await person.fail(server.host())
    await person.answer(failure.question, PASSPHRASE)
    write_key(server.folder / "user_key", server.user_key, "another")

    assert (await person.fail(server.host())).question


async def test_a_key_without_a_public_half_is_asked_for(server: Server, person: Person) -> None:
    path = server.folder / "user_key"
    path.with_name("user_key.pub").unlink()
    key = server.user_key.export_private_key("pkcs8-pem", passphrase=PASSPHRASE)
    path.write_bytes(key)

    failure = await person.fail(server.host())
    await person.answer(failure.question, PASSPHRASE)
    await person.log_in(server.host())


async def test_a_key_that_the_server_does_not_accept_is_not_asked_for(
    server: Server, person: Person
) -> None:
    server.refuse_logins = True

    failure = await person.fail(server.host())

    assert (failure.cause, failure.question) == (Cause.AUTH, "")
    assert person.context.questions.questions == ()


async def test_batch_mode_asks_nothing_and_says_so(server: Server, person: Person) -> None:
    failure = await person.fail(server.host(batch_mode=True))

    assert (failure.cause, failure.question) == (Cause.ANSWER_NEEDED, "")
    assert "BatchMode forbids" in failure.hint
    assert person.context.questions.questions == ()


async def test_no_question_is_asked_for_a_key_that_the_agent_holds(
    server: Server, person: Person, agent: Agent, tmp_path: Path
) -> None:
    plain = write_key(tmp_path / "plain", server.user_key)
    agent.add(plain)

    await person.log_in(server.host(identity_agent=agent.socket))
    assert person.context.questions.questions == ()


async def test_a_stored_passphrase_logs_in_with_no_one_present(
    server: Server, person: Person
) -> None:
    source = StoredSource(PASSPHRASE)
    person.context.answers.sources = (source,)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(person.log_in(server.host()))
    await person.log_in(server.host())
    assert source.calls == 1

    person.context.unlocker.lock()
    await person.log_in(server.host())
    assert source.calls == 2


async def test_tunnels_that_fail_together_share_a_wrong_stored_passphrase(
    server: Server, person: Person
) -> None:
    source = StoredSource("guess")
    person.context.answers.sources = (source,)
    async with asyncio.TaskGroup() as tasks:
        fails = [tasks.create_task(person.fail(server.host())) for _ in range(3)]

    assert len({task.result().question for task in fails}) == 1
    assert "passphrase_command: the passphrase is wrong" in fails[0].result().message
    assert source.calls < 3


async def test_a_failure_that_cannot_be_looked_into_is_a_failure_all_the_same(
    server: Server, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def exhausted(*_: object) -> str:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(key_unlocker.KeyUnlocker, "ask", exhausted)
    assert (await person.fail(server.host())).cause is Cause.LOCAL_RESOURCES


async def test_a_source_that_fails_is_asked_again_later(server: Server, person: Person) -> None:
    class FailingSource(StoredSource):
        """A source whose program fails now."""

        async def passphrase(self, host: Host, path: str, log: Log) -> Found | None:
            raise SourceError("passphrase_command: exit status 1")

    person.context.answers.sources = (FailingSource(""),)
    failure = await person.fail(server.host())

    assert failure.question
    assert failure.source_failed
    assert "passphrase_command: exit status 1" in failure.message


@pytest.mark.parametrize("is_last_port", [True, False])
async def test_a_key_that_is_unlocked_during_the_login_serves_without_another_question(
    server: Server, person: Person, is_last_port: bool
) -> None:
    question = (await person.fail(server.host())).question

    class AnsweringSource(StoredSource):
        """A source without a passphrase. While it is asked, the person answers."""

        async def passphrase(self, host: Host, path: str, log: Log) -> Found | None:
            await person.answer(question, PASSPHRASE)
            return None

    person.context.answers.sources = (AnsweringSource(""),)

    ports = (server.port,) if is_last_port else (server.port, server.port)
    await person.log_in(server.host(ports=ports))
    assert person.context.questions.questions == ()


async def test_another_key_logs_in_without_a_question(
    server: Server, person: Person, tmp_path: Path
) -> None:
    locked = write_key(tmp_path / "locked", new_key(), PASSPHRASE)
    write_key(tmp_path / "user_key", server.user_key)

    await person.log_in(server.host(identity_files=(locked, server.user_key_file)))
    assert person.context.questions.questions == ()


async def test_a_broken_file_is_not_asked_for(server: Server, person: Person) -> None:
    path = server.folder / "user_key"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-2], lines[-1]]))

    failure = await person.fail(server.host())

    assert (failure.cause, failure.question) == (Cause.AUTH, "")
    assert "Invalid PEM data" in failure.message


async def test_keys_are_decrypted_beside_the_event_loop(
    server: Server, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def recorded(data: bytes, passphrase: Secret) -> asyncssh.SSHKey:
        threads.append(threading.current_thread())
        return decrypt(data, passphrase)

    monkeypatch.setattr(key_unlocker, "decrypt", recorded)
    await person.answer((await person.fail(server.host())).question, PASSPHRASE)

    assert threads
    assert threading.current_thread() not in threads


# AddKeysToAgent


async def list_agent(agent: Agent) -> str:
    """Return what `ssh-add -l` prints."""
    process = await asyncio.create_subprocess_exec(
        "ssh-add",
        "-l",
        env={"SSH_AUTH_SOCK": agent.socket},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return (await process.communicate())[0].decode()


@pytest.mark.parametrize("mode", ["yes", "ask", "no"])
async def test_a_decrypted_key_is_added_to_the_agent_as_configured(
    server: Server, person: Person, agent: Agent, mode: str
) -> None:
    host = server.host(identity_agent=agent.socket, add_keys_to_agent=mode)
    await person.answer((await person.fail(host)).question, PASSPHRASE)
    await person.log_in(host)

    is_listed = server.user_key.get_fingerprint() in await list_agent(agent)
    assert is_listed == (mode == "yes")  # for "ask", no person is present
    person.context.unlocker.lock()
    if mode == "yes":
        await person.log_in(host)


async def test_the_agent_asks_for_confirmation_of_a_key_added_with_confirm(
    server: Server, person: Person, tmp_path: Path
) -> None:
    answered = tmp_path / "answered"
    (tmp_path / "askpass").write_text(f'#!/bin/sh\necho "$1" >> {answered}\nexit 0\n')
    (tmp_path / "askpass").chmod(0o700)
    agent = Agent(tmp_path, SSH_ASKPASS=str(tmp_path / "askpass"), DISPLAY=":0")
    try:
        await until(agent.is_running)
        host = server.host(identity_agent=agent.socket, add_keys_to_agent="confirm")
        await person.answer((await person.fail(host)).question, PASSPHRASE)
        await person.log_in(host)
        assert not answered.exists()
        await person.log_in(host)
        assert "Allow use of key" in answered.read_text()
    finally:
        agent.end()


async def test_a_key_added_with_a_lifetime_leaves_the_agent(
    server: Server, person: Person, agent: Agent
) -> None:
    host = server.host(
        identity_agent=agent.socket, add_keys_to_agent="yes", add_keys_to_agent_lifetime=1.0
    )
    await person.answer((await person.fail(host)).question, PASSPHRASE)
    await person.log_in(host)

    async with asyncio.timeout(DEADLINE):
        while server.user_key.get_fingerprint() in await list_agent(agent):
            pass


# Secrets


async def test_nothing_shows_the_passphrase_or_the_key(
    server: Server, person: Person, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    progress = ProgressRecorder()
    host = server.host()
    with pytest.raises(FailureError) as failed:
        await connect_hop(host, None, person.context, progress)
    shown = ["".join(traceback.format_exception(failed.value)), repr(failed.value.failure)]
    question = failed.value.failure.question
    await person.answer(question, f"{PASSPHRASE}-wrong")
    shown.append(repr(person.context.questions.questions))
    await person.answer(question, PASSPHRASE)
    await person.log_in(host, progress)
    shown += [repr(person.context), repr(person.context.unlocker), repr(person.context.keys)]
    shown += [repr(progress), caplog.text]

    private = server.user_key.export_private_key("pkcs8-der")[-32:]
    for text in shown:
        assert PASSPHRASE not in text
        assert repr(private)[2:-1] not in text
        assert private.hex() not in text


async def test_no_object_keeps_the_passphrase(server: Server, person: Person) -> None:
    passphrase = "kept-nowhere-at-all"
    path = server.folder / "user_key"
    write_key(path, server.user_key, passphrase)
    await person.answer((await person.fail(server.host())).question, passphrase)
    gc.collect()

    held = [o for o in gc.get_objects() if isinstance(o, Secret) and o]
    assert held == []
