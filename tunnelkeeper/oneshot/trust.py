"""`tunnelkeeper trust NAME|HOST`: the host keys of a whole chain, and whether to accept them.

It logs in to the jump hosts only: the host behind each is reached through it. On the last host it
ends after the key exchange.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.core.failures import Cause, Failure, FailureError
from tunnelkeeper.core.hop_keys import HopKey, Outcome
from tunnelkeeper.core.secret import Secret
from tunnelkeeper.net.core_dumps import disable_core_dumps
from tunnelkeeper.net.process_group import run_with_children
from tunnelkeeper.net.thread_executor import use_daemon_threads
from tunnelkeeper.oneshot.connect import load_configuration, resolve_hosts
from tunnelkeeper.ssh.asyncssh_logging import silence_asyncssh
from tunnelkeeper.ssh.connect import ConnectAttempt, connect_hop
from tunnelkeeper.ssh.context import SshContext
from tunnelkeeper.ssh.host_key_probe import HostKeyProbe, shown_key
from tunnelkeeper.sshconfig import SshConfigError
from tunnelkeeper.tunnel.snapshots import question_snapshot
from tunnelkeeper.tunnel.task_group import unwrap_exception_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.configuration import Configuration, Host
    from tunnelkeeper.core.questions import HostKeyDetails, Question
    from tunnelkeeper.core.snapshot import QuestionSnapshot, Step
    from tunnelkeeper.ssh.connection import Connection

CLIENT = "trust"
"""The only client of the board of this process."""


class Person(Protocol):
    """The person at the terminal. `ask` is called in a thread, and may block."""

    def ask(self, question: QuestionSnapshot) -> list[Secret] | None:
        """Show a question and return its answers; None if no person can be asked."""

    def show(self, hop: HopKey) -> None:
        """Show what became of a key."""

    def show_message(self, text: str) -> None:
        """Show a message of the connection."""


def trust(
    config_path: str, reference: str, fingerprints: Sequence[str], person: Person
) -> Failure | None:
    """Walk the chain of a tunnel, a host of the config file or a host of ssh_config.

    fingerprints: keys that are accepted without a question. If there are any, every other unknown
    key is refused, and each must be that of a hop. Return why a hop cannot be trusted or reached,
    or None.

    Raises ConfigError, SshConfigError.
    """
    disable_core_dumps()
    silence_asyncssh()
    configuration = load_configuration(config_path)
    try:
        with unwrap_exception_groups():
            run_with_children(_trust(configuration, reference, fingerprints, person))
    except FailureError as failed:
        return failed.failure
    except SshConfigError as error:
        return Failure(Cause.SSH_CONFIG, error.message, hint=error.hint)
    return None


async def _trust(
    configuration: Configuration, reference: str, fingerprints: Sequence[str], person: Person
) -> None:
    use_daemon_threads(asyncio.get_running_loop())
    hosts = await resolve_hosts(configuration, reference)
    walk = Walk(reference, fingerprints, person)
    await walk.run(tuple(replace(host, host_key_policy="ask", batch_mode=False) for host in hosts))


class Walk:
    """The walk along one chain.

    tunnel: its name, for messages. seen: the fingerprints that the hops have shown.
    """

    def __init__(self, tunnel: str, fingerprints: Sequence[str], person: Person) -> None:
        self.tunnel = tunnel
        self.context = SshContext()
        self.seen: list[str] = []
        self._fingerprints = fingerprints
        self._person = person

    async def run(self, hosts: Sequence[Host]) -> None:
        """Reach each host through the ones before it. Raises FailureError."""
        opened: list[Connection] = []
        try:
            for host in hosts:
                jump = opened[-1] if opened else None
                opened.append(await self._reach(host, jump, is_last=host is hosts[-1]))
        finally:
            for connection in reversed(opened):
                await connection.close()
        if unseen := [each for each in self._fingerprints if each not in self.seen]:
            message = f"no host shows a key with the fingerprint {unseen[0]}"
            hint = f"the hosts show {', '.join(self.seen)}"
            raise FailureError(Failure(Cause.HOST_KEY_UNKNOWN, message, self.tunnel, hint))

    async def _reach(self, host: Host, jump: Connection | None, *, is_last: bool) -> Connection:
        """Connect to a host, and let the person decide about its key until it is known."""
        is_new = False
        while True:
            progress = _Messages(self.tunnel, self._person)
            kind = HostKeyProbe if is_last else ConnectAttempt
            try:
                connection = await connect_hop(host, jump, self.context, progress, kind=kind)
            except FailureError as failed:
                is_new |= await self._answer(failed, progress)
                continue
            if not is_new:
                key = shown_key(connection)
                self.seen.append(key.fingerprint)
                self._person.show(HopKey(str(connection.host), Outcome.KNOWN, key))
            return connection

    async def _answer(self, failed: FailureError, progress: _Messages) -> bool:
        """Get an answer to what an attempt needs. Return whether it accepted a host key.

        Raises FailureError if it has another reason, or is not answered.
        """
        questions = {each.id: each for each in self.context.questions.questions}
        question = questions.get(failed.failure.question)
        if question is None or not question.is_answerable:
            raise failed
        if question.host_key is not None:
            await self._decide(question, question.host_key, failed.failure, progress)
            return True
        answers = await self._ask(question)
        if answers is None:
            raise failed
        await self._give(question, answers)  # a wrong passphrase is asked for again
        return False

    async def _decide(
        self, question: Question, key: HostKeyDetails, failure: Failure, progress: _Messages
    ) -> None:
        """Accept an unknown key, or raise FailureError."""
        hop = question.subject.about
        self.seen.append(key.fingerprint)
        if self._fingerprints:
            is_given = key.fingerprint in self._fingerprints
            answer = key.fingerprint if is_given else "no"
            answers: list[Secret] | None = [Secret.from_text(answer)]
        else:
            answers = await self._ask(question)
        if answers is None:
            self._person.show(HopKey(hop, Outcome.UNKNOWN, key))
            hint = f"{failure.hint} --fingerprint {key.fingerprint}"
            raise FailureError(replace(failure, cause=Cause.HOST_KEY_UNKNOWN, hint=hint))
        problem = await self._give(question, answers)
        if problem:
            if self._fingerprints:
                problem = f"{key.fingerprint} is none of the fingerprints that were given"
            self._person.show(HopKey(hop, Outcome.REFUSED, key, problem))
            refused = Failure(Cause.HOST_KEY_UNKNOWN, problem, hop)
            raise FailureError(refused)
        message = "; ".join(progress.infos[-2:])  # a line for the name, and one for the address
        message = message.replace(f" ({key.fingerprint})", "")  # it is shown already
        self._person.show(HopKey(hop, Outcome.ACCEPTED, key, message))

    async def _ask(self, question: Question) -> list[Secret] | None:
        loop = asyncio.get_running_loop()
        snapshot = question_snapshot(question, self.context.questions.now())
        return await loop.run_in_executor(None, self._person.ask, snapshot)

    async def _give(self, question: Question, answers: list[Secret]) -> str:
        """Answer a question. Return why the answer does not serve, or an empty string."""
        board = self.context.questions
        claim = board.claim(CLIENT, question.id)
        verdict = await board.answer(CLIENT, question.id, claim.nonce, answers)
        return "" if verdict.accepted else verdict.problem


class _Messages:
    """The progress of one attempt. Warnings are shown; infos are kept."""

    def __init__(self, tunnel: str, person: Person) -> None:
        self.infos: list[str] = []
        self._tunnel = tunnel
        self._person = person

    @property
    def tunnel(self) -> str:
        """The name of what connects."""
        return self._tunnel

    def step(self, hop: str, step: Step) -> None:
        """Ignore the step."""

    def waiting(self, text: str) -> None:
        """Show what a person must do."""
        if text:
            self._person.show_message(f"{self._tunnel}: {text}")

    def debug(self, text: str) -> None:
        """Ignore the message."""

    def info(self, text: str) -> None:
        """Keep the message."""
        self.infos.append(text)

    def warn(self, text: str) -> None:
        """Show a warning."""
        self._person.show_message(text)
