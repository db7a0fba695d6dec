"""The wait of a login for its user, and a client of ssh-agent that records it.

An agent may wait for a person: a touch of a security key, a PIN, a confirmation, the password of a
locked store. So its requests have no time limit here; the login has one.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import TYPE_CHECKING

import asyncssh
from asyncssh.agent import (
    SSH_AGENT_SUCCESS,
    SSH_AGENTC_ADD_ID_CONSTRAINED,
    SSH_AGENTC_ADD_IDENTITY,
    SSH_AGENTC_EXTENSION,
)
from asyncssh.packet import Boolean, String

from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS
from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

USER_PATIENCE = 1.0
"""Seconds after which a signature or a list of keys counts as waiting for a person."""

LIST_MAX_AGE = 0.9
"""Seconds for which one list of keys serves all tunnels that wait for a change, which look once a
second."""

LIST_TIMEOUT = 2.0
"""Seconds for one list of keys. A hung agent delays the look at files by that much."""

_LISTING = "the agent to list its keys"


def ignore() -> None:
    """Do nothing."""


class Action(Enum):
    """What a user has to do for a login to go on. The value completes "waiting for"."""

    TOUCH = "a touch"
    CONFIRMATION = "a confirmation"
    AGENT = "the agent"
    PASSPHRASE = "a stored passphrase"  # noqa: S105  an action, not a secret


@dataclass(slots=True)
class UserWait:
    """What one login waits for that may need its user.

    Attributes:
        request: Who has to do what, such as "the agent to list its keys", or empty.
        action: What the user may have to do.
        is_slow: Whether that has taken longer than USER_PATIENCE.
        on_slow: Called when is_slow becomes true.
        on_done: Called when a request that was slow has its answer.
    """

    request: str = ""
    action: Action = Action.AGENT
    is_slow: bool = False
    on_slow: Callable[[], None] = ignore
    on_done: Callable[[], None] = ignore

    @contextmanager
    def during(self, request: str, action: Action = Action.AGENT) -> Iterator[None]:
        """Record a request while the body waits for its answer.

        It remains recorded if the body is cancelled, as the failure of the login then names it.
        """
        self.request, self.action, self.is_slow = request, action, False
        timer = asyncio.get_running_loop().call_later(USER_PATIENCE, self._set_slow)
        try:
            yield
        except Exception:
            self.clear()
            raise
        else:
            self.clear()
        finally:
            timer.cancel()

    def clear(self) -> None:
        """Forget the request."""
        was_slow = self.is_slow
        self.request, self.is_slow = "", False
        if was_slow:
            self.on_done()

    def _set_slow(self) -> None:
        self.is_slow = True
        self.on_slow()


@dataclass(frozen=True, slots=True)
class SessionBinding:
    """What binds an agent's connection to one SSH session (PROTOCOL.agent of OpenSSH).

    host_key: the server's key or certificate. signature: that of the first key exchange.
    """

    host_key: bytes
    session_id: bytes
    signature: bytes


class AgentClient(asyncssh.SSHAgentClient):
    """A connection to an agent. It is opened by the first request."""

    def __init__(self, path: str, wait: UserWait) -> None:
        super().__init__(path)
        self._wait = wait
        self._names: dict[bytes, str] = {}

    async def get_keys(
        self, identities: Sequence[bytes] | None = None
    ) -> Sequence[asyncssh.SSHKeyPair]:
        """Return the agent's keys.

        Raises:
            ValueError: The agent cannot be used.
        """
        with self._wait.during(_LISTING):
            pairs = await super().get_keys(identities)
        self._names = {pair.public_data: key_name(pair) for pair in pairs}
        return pairs

    async def bind(self, binding: SessionBinding) -> None:
        """Name the server that the login is for. Keys that are limited to servers need it.

        An agent that does not know the request refuses it, and has no such keys.
        """
        fields = map(String, (binding.host_key, binding.session_id, binding.signature))
        with suppress(ValueError), self._wait.during(_LISTING):
            await self._make_request(
                SSH_AGENTC_EXTENSION, String("session-bind@openssh.com"), *fields, Boolean(False)
            )

    async def sign(self, key_blob: bytes, data: bytes, flags: int = 0) -> bytes:
        """Return the signature of data with one of the keys.

        Raises:
            ValueError: The agent refuses or cannot be used.
        """
        request = f"the agent to sign with {self._names.get(key_blob, 'a key')}"
        is_security_key = key_blob[4:].startswith(b"sk-")  # after the length of its type
        action = Action.TOUCH if is_security_key else Action.CONFIRMATION
        with self._wait.during(request, action):
            return await super().sign(key_blob, data, flags)

    async def add(self, key: asyncssh.SSHKey, comment: str, constraints: bytes) -> bool:
        """Add a private key. Return whether the agent has taken it.

        Raises:
            ValueError: The agent cannot be used.
            asyncssh.KeyExportError: The key cannot be given to an agent.
        """
        number = SSH_AGENTC_ADD_ID_CONSTRAINED if constraints else SSH_AGENTC_ADD_IDENTITY
        private = String(key.algorithm) + key.encode_ssh_private()
        answer, _ = await self._make_request(number, private, String(comment), constraints)
        return answer == SSH_AGENT_SUCCESS


@dataclass(slots=True)
class AgentKeyLists:
    """The keys of agents, by socket. Callers that wait for a change share the requests."""

    _lists: dict[str, tuple[float, frozenset[bytes] | None]] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def read(self, socket: str) -> frozenset[bytes] | None:
        """Return the keys of an agent, at most LIST_MAX_AGE old; None if it does not answer.

        Raises OSError if this machine is out of resources.
        """
        loop = asyncio.get_running_loop()
        async with self._locks.setdefault(socket, asyncio.Lock()):
            since, keys = self._lists.get(socket, (-inf, None))
            if loop.time() - since >= LIST_MAX_AGE:
                keys = await _list_keys(socket)
                self._lists[socket] = (loop.time(), keys)
        return keys


async def _list_keys(socket: str) -> frozenset[bytes] | None:
    client = AgentClient(socket, UserWait())
    try:
        async with asyncio.timeout(LIST_TIMEOUT):
            return frozenset(pair.public_data for pair in await client.get_keys())
    except (OSError, ValueError, asyncssh.Error) as error:
        if isinstance(error, OSError) and error.errno in EXHAUSTION_ERRNOS:
            raise
        return None
    finally:
        client.close()


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key or certificate that an agent holds. The comment is the agent's, as it is."""

    key_type: str
    blob: bytes
    comment: str


async def list_keys(socket: str) -> list[ListedKey]:
    """Return the keys of an agent.

    Raises OSError if it cannot be reached or does not understand the request.
    """
    client = AgentClient(socket, UserWait())
    try:
        return [
            ListedKey(
                pair.algorithm.decode("ascii", "replace"),
                pair.public_data,
                pair.get_comment("utf-8", "replace") or "",
            )
            for pair in await client.get_keys()
        ]
    except (ValueError, asyncssh.Error) as error:
        raise OSError(str(error)) from error
    finally:
        client.close()


def key_name(pair: asyncssh.SSHKeyPair) -> str:
    """Return the comment of a key."""
    return printable(pair.get_comment("utf-8", "replace") or "key", 60)
