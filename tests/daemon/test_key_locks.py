"""Private keys that a person unlocks and locks without a connection."""

from __future__ import annotations

import asyncio
import io
import threading
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING

import pytest

from tests.fake_clock import FakeClock
from tests.ssh.server import new_key, write_key
from tests.ssh.waiting import DEADLINE, until
from tests.tunnel.harness import make_tunnel
from tunnelkeeper.control.api import NoSuchKeyError, RequestFailedError
from tunnelkeeper.control.payloads import Locked
from tunnelkeeper.core.configuration import Host, Tunnel
from tunnelkeeper.core.secret import Secret
from tunnelkeeper.daemon.key_locks import KeyLocks
from tunnelkeeper.questions.sources import Found, HopKey, Log
from tunnelkeeper.ssh.auth import key_unlocker
from tunnelkeeper.ssh.auth.key_encryption import decrypt
from tunnelkeeper.ssh.context import SshContext
from tunnelkeeper.sshconfig import SshConfigError
from tunnelkeeper.tunnel.event_log import EventLog

if TYPE_CHECKING:
    from pathlib import Path

    import asyncssh


class Resolver:
    """A HostResolver with one host for every tunnel."""

    def __init__(self, *paths: str, **options: str) -> None:
        self.host = Host("relay", "relay", "me", identity_files=paths, **options)  # type: ignore[arg-type]

    async def resolve(self, tunnel: Tunnel) -> tuple[Host, ...]:
        return (self.host,)

    async def config_files(self) -> tuple[str, ...]:
        return ()

    def forget(self) -> None:
        pass


class StoredSource:
    """A source of answers that has one passphrase. calls: the key files it was asked for."""

    def __init__(self, passphrase: str) -> None:
        self._passphrase = passphrase
        self.calls: list[str] = []

    async def passphrase(self, host: Host, path: str, log: Log) -> Found | None:
        self.calls.append(path)
        return Found(Secret.from_text(self._passphrase), "passphrase_command")

    async def password(self, host: Host, key: HopKey, log: Log) -> Found | None:
        return None


@dataclass
class Keys:
    """Key locks of a supervisor without tunnels. text: its log."""

    text: io.StringIO = field(default_factory=io.StringIO)
    context: SshContext = field(default_factory=SshContext)

    def __post_init__(self) -> None:
        self.locks = KeyLocks(self.context, EventLog(FakeClock(), self.text))

    async def answer(self, question_id: str, passphrase: str) -> str:
        """Answer a question; return the problem with the answer."""
        board = self.context.questions
        claim = board.claim("client", question_id)
        secret = Secret.from_text(passphrase)
        return (await board.answer("client", question_id, claim.nonce, [secret])).problem


@pytest.fixture
def on() -> Keys:
    return Keys()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return write_key(tmp_path / "id_ed25519", new_key(), "sesame")


async def test_a_key_file_is_unlocked_without_a_connection_and_locked_again(
    on: Keys, path: str
) -> None:
    [question] = (await on.locks.unlock_file(path, inf)).questions
    assert await on.answer(question, "sesame") == ""
    assert on.context.questions.questions == ()
    assert (await on.locks.unlock_file(path, inf)).questions == []

    assert on.locks.lock() == Locked(keys=1, passwords=0)
    assert on.locks.lock() == Locked(keys=0, passwords=0)
    assert len((await on.locks.unlock_file(path, inf)).questions) == 1


async def test_lock_counts_the_passwords(on: Keys) -> None:
    on.context.answers.remember_password(HopKey("me@relay:22"), Secret(b"hunter2"))

    assert on.locks.lock() == Locked(keys=0, passwords=1)


async def test_a_file_that_has_no_locked_key_is_explained(
    on: Keys, path: str, tmp_path: Path
) -> None:
    with pytest.raises(NoSuchKeyError, match="no such file"):
        await on.locks.unlock_file(f"{path}-missing", inf)
    (tmp_path / "broken").touch(0o600)
    with pytest.raises(RequestFailedError, match="broken"):
        await on.locks.unlock_file(str(tmp_path / "broken"), inf)
    plain = write_key(tmp_path / "plain", new_key())
    assert (await on.locks.unlock_file(plain, inf)).questions == []
    with pytest.raises(RequestFailedError):
        await on.locks.unlock_file("a\0path", inf)


async def test_the_keys_of_tunnels_are_asked_for_once(on: Keys, path: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    tunnels = [make_tunnel(), make_tunnel()]
    resolver = Resolver(path, str(tmp_path / "link"), str(tmp_path / "missing"))

    unlocking = await on.locks.unlock_tunnels(tunnels, resolver, inf)

    assert len(unlocking.questions) == 1
    assert unlocking.problems == []
    [question] = on.context.questions.questions
    assert question.subject.about == path
    assert question.prompts[0].text == f"Enter passphrase for key '{path}':"
    assert not question.prompts[0].echo


async def test_a_tunnel_that_waits_for_one_key_needs_only_that(
    on: Keys, path: str, tmp_path: Path
) -> None:
    other = write_key(tmp_path / "other", new_key(), "sesame")
    tunnel = make_tunnel()
    question = await on.context.unlocker.ask(other, tunnel.name)

    assert (await on.locks.unlock_tunnels([tunnel], Resolver(path, other), inf)).questions == [
        question
    ]


@pytest.mark.parametrize("waits", [False, True])
async def test_a_time_limit_begins_with_the_answer(on: Keys, path: str, waits: bool) -> None:
    now = 1000.0
    unlocked = on.context.keys.unlocked
    unlocked.now, unlocked.call_later = lambda: now, lambda _delay, _callback: None
    tunnel = make_tunnel()
    if waits:  # the tunnel has asked before
        await on.context.unlocker.ask(path, tunnel.name)
    [question] = (await on.locks.unlock_tunnels([tunnel], Resolver(path), 3600)).questions
    now += 500
    assert await on.answer(question, "sesame") == ""

    now += 3599
    assert len(unlocked) == 1
    now += 1
    assert len(unlocked) == 0


async def test_a_time_limit_ends_with_its_question(on: Keys, path: str) -> None:
    board, unlocked = on.context.questions, on.context.keys.unlocked
    unlocked.now, unlocked.call_later = lambda: 0.0, lambda _delay, _callback: None
    [question] = (await on.locks.unlock_file(path, 60)).questions
    board.keep("unlock", question)
    board.disconnect("unlock")  # its person leaves without an answer
    assert await on.answer(await on.context.unlocker.ask(path, "db"), "sesame") == ""
    unlocked.now = lambda: 61.0
    assert len(unlocked) == 1


async def test_stored_passphrases_are_used_before_a_person_is_asked(on: Keys, path: str) -> None:
    source = StoredSource("sesame")
    on.context.answers.sources = (source,)

    unlocking = await on.locks.unlock_tunnels([make_tunnel()], Resolver(path), inf)

    assert unlocking.questions == []
    assert source.calls == [path]
    assert on.locks.lock().keys == 1


async def test_a_wrong_stored_passphrase_is_followed_by_the_question(on: Keys, path: str) -> None:
    on.context.answers.sources = (StoredSource("guess"),)

    [question] = (await on.locks.unlock_tunnels([make_tunnel()], Resolver(path), inf)).questions

    assert await on.answer(question, "guess") == "the passphrase is wrong"
    assert on.context.questions.questions[0].attempt == 2
    assert await on.answer(question, "sesame") == ""


async def test_a_file_that_cannot_be_decrypted_here_is_a_problem_of_its_tunnels(
    on: Keys, tmp_path: Path
) -> None:
    path = tmp_path / "pem"
    path.touch(0o600)
    path.write_text(
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
        "DEK-Info: IDEA-CBC,00112233\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
    )

    unlocking = await on.locks.unlock_tunnels([make_tunnel()], Resolver(str(path)), inf)

    assert unlocking.questions == []
    assert unlocking.problems == [f"{path}: its cipher IDEA-CBC is not supported"]


class BrokenResolver(Resolver):
    """A HostResolver that knows no host for one tunnel."""

    broken = ""

    async def resolve(self, tunnel: Tunnel) -> tuple[Host, ...]:
        if tunnel.name == self.broken:
            raise SshConfigError("no such host")
        return await super().resolve(tunnel)


async def test_a_tunnel_that_cannot_be_looked_up_does_not_keep_others_locked(
    on: Keys, path: str
) -> None:
    good, bad = make_tunnel(), replace(make_tunnel(), name="bad")
    resolver = BrokenResolver(path)
    resolver.broken = "bad"

    unlocking = await on.locks.unlock_tunnels([good, bad], resolver, inf)

    assert len(unlocking.questions) == 1
    assert unlocking.problems == ["bad: no such host"]
    with pytest.raises(RequestFailedError, match="bad: no such host"):
        await on.locks.unlock_tunnels([bad], resolver, inf)


async def test_a_key_that_is_decrypted_during_lock_is_not_held(
    on: Keys, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, may_end = threading.Event(), threading.Event()

    def slow(data: bytes, passphrase: Secret) -> asyncssh.SSHKey:
        began.set()
        assert may_end.wait(DEADLINE)
        return decrypt(data, passphrase)

    monkeypatch.setattr(key_unlocker, "decrypt", slow)
    [question] = (await on.locks.unlock_file(path, inf)).questions
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(on.answer(question, "sesame"))
        await until(began.is_set)
        on.locks.lock()
        may_end.set()
    assert answer.result() == "the keys were locked meanwhile"
    assert on.locks.lock().keys == 0
    assert on.context.questions.questions
