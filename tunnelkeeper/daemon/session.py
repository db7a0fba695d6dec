"""One session of a tunnel: from looking up its hosts to the end of its connection.

It runs as one task of its runner, reports what it reaches, and returns why it ended; cancelling it
closes everything that it opened.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.core.failures import Cause, Failure, printable
from tunnelkeeper.daemon.filewatch import Signatures, signatures
from tunnelkeeper.ssh.steps import SshFailure, failure_from
from tunnelkeeper.sshconfig import SshConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tunnelkeeper.core.tunnels import Host, Tunnel
    from tunnelkeeper.daemon.remote_forwards import RunningRemote
    from tunnelkeeper.daemon.report import SessionReport
    from tunnelkeeper.daemon.services import WayFinder
    from tunnelkeeper.forwarding.gate import Gate
    from tunnelkeeper.ssh.chain import Chain, Jumps
    from tunnelkeeper.ssh.connection import Connection

log = logging.getLogger(__name__)


class Told(Enum):
    """What a session is there for; its runner says so."""

    NOTHING_YET = "connect, and be ready to take over"
    SERVE = "have the tunnel's clients and its remote forwards"
    LEAVE = "let go of what is served, and take nothing new"


class Audience(Protocol):
    """Whoever a session tells what becomes of it."""

    def connected(self, session: Session) -> None:
        """It is connected and answers, and was not told to serve yet."""

    def served(self, session: Session) -> Failure | None:
        """It serves: every forward was tried. A failure that is returned ends the session."""

    async def checked(self, session: Session) -> None:
        """The forwards that have a check were checked, once this returns; the others need none."""

    def drained(self, session: Session) -> None:
        """It was told to leave, and the last channel is closed."""


@dataclass(slots=True, eq=False)
class Session:
    """What is known of the session while it runs. way and chain: once they are there.

    files: how the key and known_hosts files of the way were before they were used.
    """

    tunnel: Tunnel
    finder: WayFinder
    jumps: Jumps
    gate: Gate
    report: SessionReport
    remotes: Callable[[], Sequence[RunningRemote]]
    audience: Audience
    told: Told = Told.NOTHING_YET
    way: tuple[Host, ...] = ()
    chain: Chain | None = None
    files: Signatures = field(default_factory=dict)
    _attached: set[RunningRemote] = field(default_factory=set)
    _to_serve: asyncio.Event = field(default_factory=asyncio.Event)
    _refused: Failure | None = None

    async def run(self) -> Failure:
        """Connect, do what was told, and wait for the end; returns why it came."""
        try:
            return await self._connect_and_hold()
        except SshFailure as failed:
            return failed.failure
        except Exception as error:
            log.exception("tunnel %s: the session failed", self.tunnel.name)
            return Failure(Cause.PROTOCOL, f"internal error: {printable(repr(error))}")

    def serve(self) -> None:
        """Take over, as soon as it is connected, or come back from leaving."""
        self.told = Told.SERVE
        self._to_serve.set()
        if self.chain is not None:
            self.chain.connection.when_idle(None)

    def leave(self) -> None:
        """Take nothing new any more, and say when what is open is done."""
        self.told = Told.LEAVE
        if self.chain is not None:
            self.chain.connection.when_idle(lambda: self.audience.drained(self))

    def attach(self, remote: RunningRemote, tasks: asyncio.TaskGroup) -> None:
        """Let a forward listen on the server; before there is a connection, that comes with it."""
        if self.chain is not None:
            self._attached.add(remote)
            remote.attach(self.chain.connection, tasks)

    async def _connect_and_hold(self) -> Failure:
        try:
            await self._connect()
            return await self._hold()
        finally:
            await self._close()

    async def _connect(self) -> None:
        self.report.step(self.tunnel.host, "ssh_config")
        try:
            self.way = await self.finder.chain(self.tunnel)
        except SshConfigError as error:
            cause = Cause.DNS if error.temporary else Cause.SSH_CONFIG
            failure = Failure(cause, error.message, self.tunnel.host, error.hint)
            raise SshFailure(failure) from error
        except OSError as error:
            raise SshFailure(failure_from(error, self.tunnel.host, "connect")) from error
        self.files = signatures(_files_of(self.way))
        self.chain = await self.jumps.connect(self.way, self.report)

    async def _hold(self) -> Failure:
        assert self.chain is not None  # noqa: S101  _connect() made it
        connection = self.chain.connection
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(self._serve_when_told(connection))
            ended = await connection.ended()
            serving.cancel()
        return self._refused or ended

    async def _serve_when_told(self, connection: Connection) -> None:
        if self.told is Told.NOTHING_YET:
            # What it is to take over stays with the other one until it can be taken at once.
            await connection.answers()
            self.audience.connected(self)
        while True:
            await self._to_serve.wait()
            self._to_serve.clear()
            self.gate.open(connection)
            self.report.step(str(connection.host), "forwards")
            async with asyncio.TaskGroup() as tasks:
                for remote in self.remotes():
                    self.attach(remote, tasks)
            if not connection.is_closed:
                self._refused = self.audience.served(self)
            if self._refused is not None:
                await connection.close()
            elif not connection.is_closed:
                await self.audience.checked(self)

    async def _close(self) -> None:
        chain, self.chain = self.chain, None
        if chain is not None:
            self.gate.leave(chain.connection)
            for remote in self._attached:
                remote.leave(chain.connection)
            await chain.close()


def _files_of(way: tuple[Host, ...]) -> Iterator[str]:
    for host in way:
        yield from (*host.identity_files, *host.certificate_files)
        yield from (*host.user_known_hosts, *host.system_known_hosts)
