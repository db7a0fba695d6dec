"""What a person unlocks or locks without a connection: the private keys of tunnels, or one file.

The keys of a tunnel are those that its hosts name and no agent holds. A tunnel that waits for the
passphrase of one key needs only that one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.control.api import NoSuchKeyError, RequestFailedError
from tunnelkeeper.control.payloads import Locked, Unlocking
from tunnelkeeper.core.questions import Kind
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.ssh.auth.private_keys import KeyProblem, Unusable
from tunnelkeeper.sshconfig import SshConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tunnelkeeper.core.configuration import Host, Tunnel
    from tunnelkeeper.core.questions import Question
    from tunnelkeeper.ssh.context import SshContext
    from tunnelkeeper.tunnel.context import HostResolver
    from tunnelkeeper.tunnel.event_log import EventLog


@dataclass(slots=True)
class TunnelLog:
    """The event log as a place where the sources of answers report. name: the tunnel, or empty."""

    event_log: EventLog
    name: str = ""

    def info(self, text: str) -> None:
        """Log an event that needs no action."""
        self.event_log.write("info", self.name, text)

    def warn(self, text: str) -> None:
        """Log a problem that the user should fix."""
        self.event_log.write_throttled("warning", self.name, text)


@dataclass(slots=True)
class KeyLocks:
    """The locked and unlocked private keys of a supervisor."""

    context: SshContext
    event_log: EventLog

    async def unlock_file(self, path: str, seconds: float) -> Unlocking:
        """Ask for the passphrase of a key file.

        Raises RequestError if it has no key that can be unlocked.
        """
        log = TunnelLog(self.event_log)
        try:
            result = await self.context.unlocker.request(path, None, seconds, log)
        except (OSError, ValueError) as error:
            text = os_error_text(error) if isinstance(error, OSError) else "it is no path"
            raise RequestFailedError(f"{printable(path)}: {text}") from error
        if not isinstance(result, KeyProblem):
            return Unlocking([result] if result else [])
        if result.kind is Unusable.MISSING:
            raise NoSuchKeyError(path)
        raise RequestFailedError(f"{printable(path)}: {result.message}", result.remedy)

    async def unlock_tunnels(
        self, tunnels: Sequence[Tunnel], resolver: HostResolver, seconds: float
    ) -> Unlocking:
        """Ask for the passphrases of the locked keys of tunnels, once for each key.

        A tunnel whose hosts cannot be looked up is a problem among several tunnels.

        Raises RequestError if that is the only tunnel.
        """
        questions: dict[str, None] = {}
        problems: dict[str, None] = {}
        for tunnel in tunnels:
            waiting = self._questions_of(tunnel.name)
            if waiting:
                for question in waiting:
                    self.context.unlocker.limit_answer(question.id, seconds)
                    questions[question.id] = None
                continue
            log = TunnelLog(self.event_log, tunnel.name)
            try:
                files = [each async for each in self._key_files(tunnel, resolver)]
            except RequestFailedError as error:
                if len(tunnels) == 1:
                    raise
                problems[str(error)] = None
                continue
            for host, path in files:
                result = await self.context.unlocker.request(path, host, seconds, log)
                if isinstance(result, KeyProblem):
                    if result.kind is Unusable.UNSUPPORTED:
                        problems[str(result)] = None
                elif result:
                    questions[result] = None
        return Unlocking(list(questions), list(problems))

    def lock(self) -> Locked:
        """Forget all decrypted keys and all passwords. Live connections stay."""
        self.context.login_memory.forget_refused()
        return Locked(self.context.unlocker.lock(), self.context.answers.forget_all())

    def _questions_of(self, tunnel: str) -> list[Question]:
        """Return the questions for passphrases that a tunnel waits for."""
        return [
            question
            for question in self.context.questions.questions
            if question.subject.kind is Kind.PASSPHRASE and tunnel in question.tunnels
        ]

    async def _key_files(
        self, tunnel: Tunnel, resolver: HostResolver
    ) -> AsyncIterator[tuple[Host, str]]:
        """Yield the identity files of a tunnel's hosts that no agent holds."""
        try:
            hosts = await resolver.resolve(tunnel)
        except (SshConfigError, OSError) as error:
            text = error.message if isinstance(error, SshConfigError) else os_error_text(error)
            raise RequestFailedError(f"{tunnel.name}: {printable(text)}") from error
        for host in hosts:
            held: frozenset[bytes] = frozenset()
            if host.identity_agent is not None:
                held = await self.context.agent_key_lists.read(host.identity_agent) or held
            for path in host.identity_files:
                public = (await self.context.keys.read(path)).public
                if public is None or public.blob not in held:
                    yield host, path
