"""What the connection attempts of one process share, and how an attempt reports its progress.

It holds state that outlives a connection; it opens none itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tunnelkeeper.net.descriptor_pool import DescriptorPool
from tunnelkeeper.questions.board import QuestionBoard
from tunnelkeeper.questions.stored_answers import stored_answers
from tunnelkeeper.ssh.auth.agent import AgentKeyLists
from tunnelkeeper.ssh.auth.key_unlocker import KeyUnlocker
from tunnelkeeper.ssh.auth.known_hosts_file import KnownHostsFiles
from tunnelkeeper.ssh.auth.login_memory import LoginMemory
from tunnelkeeper.ssh.auth.private_keys import PrivateKeys
from tunnelkeeper.ssh.auth.revoked_keys import RevokedKeyFiles
from tunnelkeeper.ssh.connection_tracker import ConnectionTracker
from tunnelkeeper.ssh.login_limiter import LoginLimiter
from tunnelkeeper.ssh.memory_budget import new_budget

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.budget import Budget
    from tunnelkeeper.core.snapshot import Step
    from tunnelkeeper.core.unused_timeout import UnusedTimeout
    from tunnelkeeper.questions.sources import AnswerSources


@dataclass(slots=True)
class SshContext:
    """The state that all connection attempts of a process share.

    Attributes:
        keys: The private keys that were loaded, by file.
        agent_key_lists: The keys of agents, for tunnels that wait for another one.
        known_hosts: The known_hosts files that were read.
        revoked_keys: The files of revoked host keys that were read.
        login_limiter: Bounds the concurrent handshakes with each server.
        descriptors: The descriptors of the process, which forwards and servers share.
        budget: What all connections may hold, memory for example.
        connection_tracker: The connections and attempts to notify of a network change.
        questions: Where logins ask what only a person can answer.
        answers: Where answers are stored, so that no person is asked.
        unlocker: Decrypts the private keys that need a passphrase.
        unused_timeouts: When servers close connections without channels, by `user@host:port`.
        login_memory: What earlier logins have shown, such as the secrets that were refused.
        wall_time: Returns the Unix time, for the validity of certificates.
    """

    keys: PrivateKeys = field(default_factory=PrivateKeys)
    agent_key_lists: AgentKeyLists = field(default_factory=AgentKeyLists)
    known_hosts: KnownHostsFiles = field(default_factory=KnownHostsFiles)
    revoked_keys: RevokedKeyFiles = field(default_factory=RevokedKeyFiles)
    login_limiter: LoginLimiter = field(default_factory=LoginLimiter)
    descriptors: DescriptorPool = field(default_factory=DescriptorPool)
    budget: Budget[Any] = field(default_factory=new_budget)
    connection_tracker: ConnectionTracker = field(default_factory=ConnectionTracker)
    questions: QuestionBoard = field(default_factory=QuestionBoard)
    answers: AnswerSources = field(default_factory=stored_answers)
    unlocker: KeyUnlocker = field(init=False)
    unused_timeouts: dict[str, UnusedTimeout] = field(default_factory=dict)
    login_memory: LoginMemory = field(default_factory=LoginMemory)
    wall_time: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        """Let the parts that need each other know each other."""
        self.unlocker = KeyUnlocker(self.keys, self.questions, self.answers)


class ProgressListener(Protocol):
    """Receives the steps and log messages of one attempt to connect.

    tunnel: the name of the tunnel that connects, for the questions that it waits for.
    """

    @property
    def tunnel(self) -> str:
        """The name of the tunnel, or of what else connects."""

    def step(self, hop: str, step: Step) -> None:
        """Report that the attempt has reached a step of a hop."""

    def waiting(self, text: str) -> None:
        """Report what a person must do for the current step to end; empty if nothing any more."""

    def debug(self, text: str) -> None:
        """Log a detail for troubleshooting."""

    def info(self, text: str) -> None:
        """Log an event that needs no action."""

    def warn(self, text: str) -> None:
        """Log a problem that the user should fix although the attempt continues."""
