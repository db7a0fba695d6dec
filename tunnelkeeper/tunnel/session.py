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

from tunnelkeeper.core.failures import Cause, Failure, FailureError
from tunnelkeeper.core.snapshot import ProgressSnapshot
from tunnelkeeper.core.text import printable
from tunnelkeeper.ssh.errors import to_failure
from tunnelkeeper.sshconfig import SshConfigError
from tunnelkeeper.tunnel.file_watcher import Signatures, read_signatures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tunnelkeeper.core.configuration import Host, Tunnel
    from tunnelkeeper.core.snapshot import Step
    from tunnelkeeper.forwarding.gate import Gate
    from tunnelkeeper.ssh.connection import Connection
    from tunnelkeeper.ssh.connection_pool import ConnectionPool, HopConnections
    from tunnelkeeper.tunnel.context import HostResolver, TunnelContext
    from tunnelkeeper.tunnel.remote_forward import RunningRemoteForward

log = logging.getLogger(__name__)


class Role(Enum):
    """What a session is there for; its runner says so."""

    STANDBY = "connect, and be ready to take over"
    SERVING = "have the tunnel's clients and its remote forwards"
    DRAINING = "let go of what is served, and take nothing new"


class SessionListener(Protocol):
    """Whoever a session tells what becomes of it."""

    def on_connected(self, session: Session) -> None:
        """It is connected and answers, and was not told to serve yet."""

    def on_serving(self, session: Session) -> Failure | None:
        """It serves: every forward was tried. A failure that is returned ends the session."""

    async def finish_opening(self, session: Session) -> None:
        """The forwards that have a check were checked, once this returns; the others need none."""

    def on_drained(self, session: Session) -> None:
        """It was told to leave, and the last channel is closed."""


class SessionProgress:
    """An ssh.progress.Report. progress: the step that the session is at."""

    def __init__(self, name: str, context: TunnelContext) -> None:
        self.current: ProgressSnapshot | None = None
        self._name = name
        self._context = context

    def step(self, hop: str, step: Step) -> None:
        """The session is at a step of a hop."""
        self.current = ProgressSnapshot(hop, step)
        self._context.on_change(self._name)

    def debug(self, text: str) -> None:
        """For whoever looks closely."""
        self._context.event_log.write("debug", self._name, text)

    def info(self, text: str) -> None:
        """It happened and is fine."""
        self._context.event_log.write("info", self._name, text)

    def warn(self, text: str) -> None:
        """A person should mend it, though it goes on; said once, not at every attempt."""
        self._context.event_log.write_throttled("warning", self._name, text)


@dataclass(slots=True, eq=False)
class Session:
    """What is known of the session while it runs. way and chain: once they are there.

    files: how the key and known_hosts files of the way were before they were used.
    """

    tunnel: Tunnel
    host_resolver: HostResolver
    connection_pool: ConnectionPool
    gate: Gate
    progress: SessionProgress
    remote_forwards: Callable[[], Sequence[RunningRemoteForward]]
    listener: SessionListener
    role: Role = Role.STANDBY
    host_chain: tuple[Host, ...] = ()
    hop_connections: HopConnections | None = None
    files: Signatures = field(default_factory=dict)
    _attached: set[RunningRemoteForward] = field(default_factory=set)
    _serve_requested: asyncio.Event = field(default_factory=asyncio.Event)
    _forward_failure: Failure | None = None

    async def run(self) -> Failure:
        """Connect, do what was told, and wait for the end; returns why it came."""
        try:
            return await self._connect_and_hold()
        except FailureError as failed:
            return failed.failure
        except Exception as error:
            log.exception("tunnel %s: the session failed", self.tunnel.name)
            return Failure(Cause.PROTOCOL, f"internal error: {printable(repr(error))}")

    def serve(self) -> None:
        """Take over, as soon as it is connected, or come back from leaving."""
        self.role = Role.SERVING
        self._serve_requested.set()
        if self.hop_connections is not None:
            self.hop_connections.connection.when_idle(None)

    def drain(self) -> None:
        """Take nothing new any more, and say when what is open is done."""
        self.role = Role.DRAINING
        if self.hop_connections is not None:
            self.hop_connections.connection.when_idle(lambda: self.listener.on_drained(self))

    def attach_remote_forward(self, remote: RunningRemoteForward, tasks: asyncio.TaskGroup) -> None:
        """Let a forward listen on the server; before there is a connection, that comes with it."""
        if self.hop_connections is not None:
            self._attached.add(remote)
            remote.attach(self.hop_connections.connection, tasks)

    async def _connect_and_hold(self) -> Failure:
        try:
            await self._connect()
            return await self._hold()
        finally:
            await self._close()

    async def _connect(self) -> None:
        self.progress.step(self.tunnel.host, "ssh_config")
        try:
            self.host_chain = await self.host_resolver.chain(self.tunnel)
        except SshConfigError as error:
            cause = Cause.DNS if error.temporary else Cause.SSH_CONFIG
            failure = Failure(cause, error.message, self.tunnel.host, error.hint)
            raise FailureError(failure) from error
        except OSError as error:
            raise FailureError(to_failure(error, self.tunnel.host, "connect")) from error
        self.files = read_signatures(_files_of(self.host_chain))
        self.hop_connections = await self.connection_pool.connect(self.host_chain, self.progress)

    async def _hold(self) -> Failure:
        assert self.hop_connections is not None  # noqa: S101  _connect() made it
        connection = self.hop_connections.connection
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(self._serve_on_request(connection))
            ended = await connection.ended()
            serving.cancel()
        return self._forward_failure or ended

    async def _serve_on_request(self, connection: Connection) -> None:
        if self.role is Role.STANDBY:
            # What it is to take over stays with the other one until it can be taken at once.
            await connection.answers()
            self.listener.on_connected(self)
        while True:
            await self._serve_requested.wait()
            self._serve_requested.clear()
            self.gate.open(connection)
            self.progress.step(str(connection.host), "forwards")
            async with asyncio.TaskGroup() as tasks:
                for remote in self.remote_forwards():
                    self.attach_remote_forward(remote, tasks)
            if not connection.is_closed:
                self._forward_failure = self.listener.on_serving(self)
            if self._forward_failure is not None:
                await connection.close()
            elif not connection.is_closed:
                await self.listener.finish_opening(self)

    async def _close(self) -> None:
        chain, self.hop_connections = self.hop_connections, None
        if chain is not None:
            self.gate.close_if(chain.connection)
            for remote in self._attached:
                remote.connection_lost(chain.connection)
            await chain.close()


def _files_of(host_chain: tuple[Host, ...]) -> Iterator[str]:
    for host in host_chain:
        yield from (*host.identity_files, *host.certificate_files)
        yield from (*host.user_known_hosts, *host.system_known_hosts)
