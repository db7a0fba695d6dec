"""The private keys of one login: read, unlocked, and added to the agent as AddKeysToAgent asks.

It asks for a passphrase only after the login has failed. Until then other keys are tried.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import Cause
from tunnelkeeper.core.text import printable
from tunnelkeeper.ssh.auth.agent import Action
from tunnelkeeper.ssh.auth.private_keys import KeyProblem, LoadedKey, PrivateKeys, is_locked

if TYPE_CHECKING:
    import asyncssh

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.core.failures import Failure
    from tunnelkeeper.questions.sources import Log
    from tunnelkeeper.ssh.auth.agent import UserWait
    from tunnelkeeper.ssh.auth.key_unlocker import KeyUnlocker
    from tunnelkeeper.ssh.auth.login_agent import LoginAgent

Confirm = Callable[[str], Awaitable[bool]]
"""Asks a person who is present a yes-or-no question. False without one."""


async def answer_no(_text: str) -> bool:
    """Answer for a person who is not there."""
    return False


@dataclass(frozen=True, slots=True)
class Unlocking:
    """What a login unlocks keys with.

    log: where the sources of stored passphrases report. tunnel: the tunnel that logs in.
    """

    unlocker: KeyUnlocker
    log: Log
    tunnel: str


@dataclass(slots=True)
class KeyLoader:
    """The private keys of one login.

    Attributes:
        unlocking: None if encrypted keys stay locked.
        confirm: Asks whether a key may be added to the agent (AddKeysToAgent ask).
        was_unlocked: Whether a key was unlocked while this login failed for the lack of it.
    """

    host: Host
    keys: PrivateKeys
    agent: LoginAgent
    user_wait: UserWait
    unlocking: Unlocking | None = None
    confirm: Confirm = answer_no
    was_unlocked: bool = False
    _added: set[str] = field(default_factory=set)

    async def load(self, path: str) -> LoadedKey:
        """Return the private key of a file, unlocked with a stored passphrase if it is encrypted.

        Raises OSError with one of EXHAUSTION_ERRNOS.
        """
        loaded = (await self.keys.read(path)).private
        if self.unlocking is None or not is_locked(loaded):
            return loaded
        use = self.unlocking
        with self.user_wait.during(f"a stored passphrase of {path}", Action.PASSPHRASE):
            return await use.unlocker.unlock(self.host, loaded, use.log)

    async def add_to_agent(self, path: str, key: asyncssh.SSHKey) -> None:
        """Add a key that signs to the agent, once, as AddKeysToAgent asks."""
        mode = self.host.add_keys_to_agent
        if mode == "no" or self.host.identity_agent is None or path in self._added:
            return
        self._added.add(path)
        comment = printable(key.get_comment("utf-8", "replace") or path, 200)
        if mode == "ask" and not await self.confirm(f"Add key {path} ({comment}) to agent?"):
            return
        problem = await self.agent.add(key, comment)
        if self.unlocking is not None:
            text = f"{path} is not added to the agent: {problem}" if problem else ""
            self.unlocking.log.info(text or f"{path} is added to the agent (AddKeysToAgent)")

    async def ask(self, failure: Failure, problems: list[KeyProblem]) -> Failure:
        """Ask for the passphrase that a failed login lacks. Return its failure with the question.

        Raises OSError with one of EXHAUSTION_ERRNOS.
        """
        locked = next((problem for problem in problems if is_locked(problem)), None)
        if locked is None or self.unlocking is None or failure.question:
            return failure
        use = self.unlocking
        if self.host.batch_mode:
            hint = f"`{locked.remedy}`, as BatchMode forbids to ask for the passphrase"
            return replace(failure, cause=Cause.ANSWER_NEEDED, hint=hint)
        self.was_unlocked = not is_locked((await self.keys.read(locked.path)).private)
        if self.was_unlocked:  # the question would come after its answer
            return failure
        return replace(
            failure,
            cause=Cause.ANSWER_NEEDED,
            hint=use.unlocker.hint(locked.path, use.tunnel),
            question=await use.unlocker.ask(locked.path, use.tunnel),
            source_failed=locked.source_failed,
        )
