"""Decrypts private keys: with stored passphrases, or with one that a person types.

The decrypted keys are held in memory. A passphrase is kept nowhere, and a key is decrypted in a
thread, because its key derivation may compute for seconds.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING

import asyncssh

from tunnelkeeper.core.questions import Kind, Prompt, Subject
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.net.regular_file import KEY_SIZE_LIMIT, read_regular_file
from tunnelkeeper.net.thread_executor import SerialExecutor
from tunnelkeeper.ssh.auth.key_encryption import BrokenKeyError, WrongPassphraseError, decrypt
from tunnelkeeper.ssh.auth.private_keys import (
    KeyProblem,
    LoadedKey,
    PrivateKeys,
    is_locked,
    ssh_add,
)
from tunnelkeeper.ssh.auth.unlocked_keys import KeyFileVersion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.core.secret import Secret
    from tunnelkeeper.questions.board import QuestionBoard
    from tunnelkeeper.questions.sources import AnswerSources, Log


@dataclass(slots=True)
class _Tries:
    """The tries of stored passphrases for one key, one after the other.

    started, result: the number of the last try that has ended, and its result.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    started: int = 0
    result: LoadedKey | None = None


@dataclass(slots=True)
class KeyUnlocker:
    """Unlocks the key files of one process. All connection attempts share it.

    Attributes:
        answers: Where passphrases are stored.
        command: The command that unlocks the keys of a tunnel, to which its name is added; empty in
            a program that no such command reaches.
    """

    keys: PrivateKeys
    questions: QuestionBoard
    answers: AnswerSources
    command: str = ""
    _tries: dict[object, _Tries] = field(default_factory=dict)
    _limits: dict[str, float] = field(default_factory=dict)
    _locks: int = 0
    _executor: SerialExecutor = field(default_factory=SerialExecutor)

    async def unlock(self, host: Host, locked: KeyProblem, log: Log) -> LoadedKey:
        """Return the key of an encrypted file, decrypted with a stored passphrase, or the problem.

        Attempts that ask at the same time share one look at the sources.

        Raises OSError with one of EXHAUSTION_ERRNOS.
        """
        tries = self._tries.setdefault((locked.path, host.passphrase_command), _Tries())
        seen = tries.started
        async with tries.lock:
            # A try that began after this call knows all that this one would find out.
            if tries.started > seen and tries.result is not None:
                return tries.result
            loaded = (await self.keys.read(locked.path)).private
            if not is_locked(loaded):
                return loaded
            tries.started += 1
            tries.result = None
            tries.result = await self._try_stored(host, locked, log)
            return tries.result

    async def _try_stored(self, host: Host, locked: KeyProblem, log: Log) -> LoadedKey:
        problems = []
        search = self.answers.passphrases(host, locked.path, log)
        async for found in search:
            try:
                problem = await self._decrypt(locked.path, found.secret)
            finally:
                found.secret.wipe()
            if not problem:
                self.questions.withdraw(await self._subject(locked.path))
                return (await self.keys.read(locked.path)).private
            problems.append(f"{printable(found.source, 60)}: {problem}")
        problems += search.problems
        message = "; ".join([locked.message, *problems])
        return replace(locked, message=message, source_failed=bool(search.problems))

    async def ask(self, path: str, tunnel: str = "") -> str:
        """Ask for the passphrase of a key file. Return the id of the question.

        tunnel: the tunnel that waits for the answer, or empty.
        """
        subject = await self._subject(path)

        async def check(answers: Sequence[Secret]) -> str:
            return await self._check(path, answers[0], question)

        question = self.questions.post(
            subject,
            f"the private key {subject.about} is protected by a passphrase",
            [Prompt.of(f"Enter passphrase for key '{subject.about}': ")],
            check,
            tunnel=tunnel,
        )
        return question

    async def request(
        self, path: str, host: Host | None, seconds: float, log: Log
    ) -> str | KeyProblem:
        """Unlock a key file with a stored passphrase, or ask for it. Open no connection.

        Args:
            path: The key file.
            host: A host that uses it, whose stored passphrases serve; None for no host.
            seconds: For how long from now the key is held in memory at most, if it is encrypted.
            log: Where the sources of stored passphrases report what they do.

        Returns:
            The id of the question, "" if the key is not locked (any more), or why it cannot be
            unlocked.
        """
        loaded = (await self.keys.read(path)).private
        if host is not None and is_locked(loaded):
            loaded = await self.unlock(host, loaded, log)
        real_path = (await self._subject(path)).about
        if not isinstance(loaded, KeyProblem):
            self.keys.unlocked.limit(real_path, seconds)
            return ""
        if not is_locked(loaded):
            return loaded
        question = await self.ask(path)
        self.limit_answer(question, seconds)
        return question

    def limit_answer(self, question: str, seconds: float) -> None:
        """Hold a key for this time at most when this question has been answered."""
        self._limits[question] = seconds

    def command_for(self, tunnel: str) -> str:
        """Return the command that lets a person log a tunnel in, or an empty string."""
        return f"{self.command} {printable(shlex.quote(tunnel))}" if self.command else ""

    def lock(self) -> int:
        """Forget all decrypted keys. Return how many there were."""
        self._limits.clear()
        self._locks += 1
        for tries in self._tries.values():
            tries.result = None
        return self.keys.unlocked.forget()

    def hint(self, path: str, tunnel: str) -> str:
        """Return the command that unlocks a key that a tunnel waits for."""
        return self.command_for(tunnel) or ssh_add(path)

    async def _check(self, path: str, passphrase: Secret, question: str) -> str:
        """Try a passphrase that a person typed. Return why it does not serve, or ""."""
        loaded = (await self.keys.read(path)).private
        if isinstance(loaded, asyncssh.SSHKey):  # unlocked meanwhile, or not encrypted any more
            return ""
        if not is_locked(loaded):
            return loaded.message
        problem = await self._decrypt(path, passphrase, self._limits.get(question, inf))
        if not problem:
            self._limits.pop(question, None)
        return problem

    async def _decrypt(self, path: str, passphrase: Secret, seconds: float = inf) -> str:
        """Decrypt a key file and hold the key for a time. Return the problem, or ""."""

        def run() -> tuple[KeyFileVersion, asyncssh.SSHKey]:
            version = KeyFileVersion.of(path)
            return version, decrypt(read_regular_file(path, KEY_SIZE_LIMIT), passphrase)

        locks = self._locks
        try:
            version, key = await self._executor.call(path, run)
        except (WrongPassphraseError, BrokenKeyError) as error:
            return str(error)
        except OSError as error:
            return os_error_text(error)
        if self._locks != locks:  # a key must not be held after `lock`
            return "the keys were locked meanwhile"
        self.keys.unlocked.add(version, key, seconds)
        return ""

    async def _subject(self, path: str) -> Subject:
        """Return what a question about a key file is about: its real path, whatever names it."""
        real = await self._executor.read(path, lambda: os.path.realpath(path))
        return Subject(Kind.PASSPHRASE, real)
