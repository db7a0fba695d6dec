"""An ssh-agent that answers late, as one does that waits for a person."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncssh.packet import Byte, SSHPacket, String, UInt32

from tests.forwarding.services import service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncssh

FAILURE, LIST, IDENTITIES, SIGN, SIGNATURE = 5, 11, 12, 13, 14  # RFC draft-ietf-sshm-ssh-agent
EXTENSION = 27  # session-bind@openssh.com, which this agent refuses
COMMENT = b"me@desk"


@dataclass(slots=True)
class SlowAgent:
    """The agent. It holds one Ed25519 key.

    slow: The requests that wait for `may_answer`. requests: Those that it received.
    """

    key: asyncssh.SSHKey
    socket: str
    slow: frozenset[int]
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[int] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client, which may give up earlier."""
        while size := await reader.read(4):
            request = SSHPacket(await reader.readexactly(int.from_bytes(size)))
            kind = request.get_byte()
            self.requests.append(kind)
            if kind in self.slow:
                await self.may_answer.wait()
            writer.write(String(self._answer(kind, request)))

    def _answer(self, kind: int, request: SSHPacket) -> bytes:
        if kind == LIST:
            return Byte(IDENTITIES) + UInt32(1) + String(self.key.public_data) + String(COMMENT)
        if kind == SIGN:
            request.get_string()
            return Byte(SIGNATURE) + String(self.key.sign(request.get_string(), b"ssh-ed25519"))
        return Byte(FAILURE)


@asynccontextmanager
async def slow_agent(path: Path, key: asyncssh.SSHKey, *slow: int) -> AsyncIterator[SlowAgent]:
    """Run an agent on a Unix socket; these requests wait until its `may_answer` is set."""
    agent = SlowAgent(key, str(path), frozenset(slow))
    async with service(agent.serve, path):
        yield agent
