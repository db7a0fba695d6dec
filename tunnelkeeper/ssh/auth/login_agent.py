"""The agent of one login: its keys, its signatures, and the keys that are added to it."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncssh
from asyncssh.agent import (
    SSH_AGENT_CONSTRAIN_CONFIRM,
    SSH_AGENT_CONSTRAIN_EXTENSION,
    SSH_AGENT_CONSTRAIN_LIFETIME,
    SSH_AGENT_RSA_SHA2_256,
    SSH_AGENT_RSA_SHA2_512,
)
from asyncssh.packet import Byte, SSHPacket, String, UInt32

from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS, AgentKeys
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.ssh.auth import public_keys
from tunnelkeeper.ssh.auth.agent import AgentClient, UserWait, key_name
from tunnelkeeper.ssh.auth.identity_order import Identity

if TYPE_CHECKING:
    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.ssh.auth.agent import SessionBinding
    from tunnelkeeper.ssh.auth.login_failure import LoginRecord

ADD_TIMEOUT = 5.0
"""Seconds an agent may take to add a key. The login does not wait longer."""

_FLAGS = {"rsa-sha2-256": SSH_AGENT_RSA_SHA2_256, "rsa-sha2-512": SSH_AGENT_RSA_SHA2_512}


@dataclass(slots=True)
class LoginAgent:
    """A connection to the agent of a host, opened by the first request.

    Attributes:
        keys: What the agent listed, or that it listed nothing. None before it is asked.
        binding: What the agent is notified of before it lists its keys.
    """

    host: Host
    record: LoginRecord
    user_wait: UserWait
    binding: SessionBinding | None = None
    keys: AgentKeys | None = None
    _client: AgentClient | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def identities(self, timeout: float | None) -> list[Identity] | None:
        """Return the agent's keys of known types, or None if it did not list them in time.

        Raises OSError with one of EXHAUSTION_ERRNOS.
        """
        socket = self.host.identity_agent
        if socket is None:
            self.record.agent = "no agent: SSH_AUTH_SOCK is not set, or identity_agent is none"
            return []
        self._client = AgentClient(socket, self.user_wait)
        self.record.agent_problem = ""
        self.keys = AgentKeys(socket, None)
        try:
            async with asyncio.timeout(timeout):
                if self.binding is not None:
                    await self._client.bind(self.binding)
                keys = await self._client.get_keys()
        except (OSError, ValueError, asyncssh.Error) as error:
            if isinstance(error, OSError) and error.errno in EXHAUSTION_ERRNOS:
                raise
            self.close()
            if isinstance(error, TimeoutError):
                self.keys = None  # to ask for the list may ask a person for a password
                self.user_wait.clear()
                self.record.agent_problem = f"it has not listed its keys within {timeout:g} s"
                return None
            self.record.agent_problem = error_text(error) or "it sent no key list"
            return []
        self.keys = AgentKeys(socket, frozenset(key.public_data for key in keys))
        self.record.agent = "the agent holds no key"
        if keys:
            self.record.agent = f"none of the agent's keys ({len(keys)}) can be offered"
            if self.host.identities_only:
                self.record.agent += " (identities_only is true)"
        return [
            Identity(key_name(key), public, in_agent=True)
            for key in keys
            if (public := public_keys.decode(key.public_data)) is not None
        ]

    async def sign(self, signer: Identity, algorithm: str, data: bytes) -> bytes:
        """Return the signature of data with a key of the agent.

        Raises OSError, ValueError or asyncssh.Error if the agent does not sign.
        """
        if self._client is None or signer.public is None:
            raise ValueError("the connection to the agent is closed")
        flags = _FLAGS.get(algorithm, 0)
        signature = await self._client.sign(signer.public.blob, data, flags)
        if SSHPacket(signature).get_string() != algorithm.encode():
            raise ValueError(f"the agent does not sign with {algorithm}")
        return signature

    async def add(self, key: asyncssh.SSHKey, comment: str) -> str:
        """Add a private key as AddKeysToAgent asks. Return the problem, or ""."""
        if self.host.identity_agent is None:
            return ""
        client = AgentClient(self.host.identity_agent, UserWait())
        try:
            async with asyncio.timeout(ADD_TIMEOUT):
                is_added = await client.add(key, comment, self._constraints(key))
        except TimeoutError:
            return f"the agent has not answered within {ADD_TIMEOUT:g} s"
        except (OSError, ValueError, asyncssh.Error) as error:
            return error_text(error)
        finally:
            client.close()
        return "" if is_added else "the agent refuses it"

    def _constraints(self, key: asyncssh.SSHKey) -> bytes:
        """Return the constraints of a key (draft-miller-ssh-agent section 4.2.7)."""
        constraints = b""
        if self.host.add_keys_to_agent_lifetime:
            seconds = int(min(self.host.add_keys_to_agent_lifetime, 2**32 - 1))
            constraints += Byte(SSH_AGENT_CONSTRAIN_LIFETIME) + UInt32(seconds)
        if self.host.add_keys_to_agent == "confirm":
            constraints += Byte(SSH_AGENT_CONSTRAIN_CONFIRM)
        if key.algorithm.startswith(b"sk-"):
            provider = os.environ.get("SSH_SK_PROVIDER", "internal")  # as ssh has by default
            constraints += Byte(SSH_AGENT_CONSTRAIN_EXTENSION)
            constraints += String("sk-provider@openssh.com") + String(provider)
        return constraints


def error_text(error: Exception) -> str:
    """Return the text of an agent's error, made printable."""
    return os_error_text(error) if isinstance(error, OSError) else printable(str(error))
