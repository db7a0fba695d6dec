"""One session of a tunnel, from the resolution of its hosts to the end of its connection.

A session runs as one task, reports its milestones to a listener and returns why it ended.
Cancelling it closes everything that it opened. It never reconnects.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import msgspec

from tunnelkeeper.core.failures import Cause, Failure, FailureError
from tunnelkeeper.core.snapshot import ProgressSnapshot
from tunnelkeeper.net.out_of_memory import end_if_out_of_memory
from tunnelkeeper.ssh.errors import describe, to_failure
from tunnelkeeper.sshconfig import SshConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from tunnelkeeper.core.configuration import Host, Tunnel
    from tunnelkeeper.core.snapshot import Step
    from tunnelkeeper.forwarding.gate import Gate
    from tunnelkeeper.ssh.connection import Connection
    from tunnelkeeper.ssh.connection_pool import ConnectionPool, HopConnections
    from tunnelkeeper.tunnel.context import HostResolver, TunnelContext
    from tunnelkeeper.tunnel.dependency_watcher import Signatures
    from tunnelkeeper.tunnel.remote_forward import RunningRemoteForward

log = logging.getLogger(__name__)


class Role(Enum):
    """The role of a session in its tunnel. The runner assigns it."""

    STANDBY = "connected, ready to take over"
    SERVING = "serves the clients and the remote forwards of the tunnel"
    DRAINING = "finishes open channels and accepts no new ones"


class SessionListener(Protocol):
    """The receiver of a session's milestones."""

    def on_connected(self, session: Session) -> None:
        """Record that a standby session is connected and its server answers."""

    async def on_host_known(self, session: Session) -> None:
        """Expand the forwards for the host of a session."""

    def on_serving(self, session: Session) -> Failure | None:
        """Record that every remote forward was attempted. A returned failure ends the session."""

    async def finish_opening(self, session: Session) -> None:
        """Wait for the first health checks and report the session open."""

    async def keep_in_use(self, connection: Connection) -> None:
        """Keep a connection in use, if its server closes unused ones."""

    def on_connection_ended(self, connection: Connection) -> None:
        """Record how a connection ended."""

    def on_drained(self, session: Session) -> None:
        """Record that the last channel of a draining session is closed."""


class SessionProgress:
    """The progress of one session, for status, and its messages, for the event log.

    current: The step that the session is at.
    """

    def __init__(self, name: str, context: TunnelContext) -> None:
        self.current: ProgressSnapshot | None = None
        self._name = name
        self._context = context

    @property
    def tunnel(self) -> str:
        """The name of the tunnel."""
        return self._name

    def step(self, hop: str, step: Step) -> None:
        """Record the current hop and step."""
        self.current = ProgressSnapshot(hop, step)
        self._context.on_change(self._name)

    def waiting(self, text: str) -> None:
        """Record what a person must do for the current step to end."""
        if self.current is not None and self.current.waiting != text:
            self.current = msgspec.structs.replace(self.current, waiting=text)
            self._context.on_change(self._name)

    def keepalives_ignored(self, text: str) -> None:
        """Log that a server ignores keepalives, which status shows."""
        self.info(text)
        self._context.on_change(self._name)

    def debug(self, text: str) -> None:
        """Log a detail."""
        self._context.event_log.write("debug", self._name, text)

    def info(self, text: str) -> None:
        """Log a normal event."""
        self._context.event_log.write("info", self._name, text)

    def warn(self, text: str) -> None:
        """Log a problem that the user should fix. It is throttled, not repeated per attempt."""
        self._context.event_log.write_throttled("warning", self._name, text)


@dataclass(slots=True, eq=False)
class Session:
    """One session of a tunnel.

    host_chain is empty until the hosts are resolved, hop_connections None until connected.
    files: The signatures of the files that decide about the hosts, before they were used.
    config_files: The same for the files of ssh_config.
    """

    tunnel: Tunnel
    host_resolver: HostResolver
    connection_pool: ConnectionPool
    gate: Gate
    progress: SessionProgress
    remote_forwards: Callable[[], Sequence[RunningRemoteForward]]
    listener: SessionListener
    read_signatures: Callable[[Iterable[str]], Awaitable[Signatures]]
    role: Role = Role.STANDBY
    host_chain: tuple[Host, ...] = ()
    hop_connections: HopConnections | None = None
    files: Signatures = field(default_factory=dict)
    config_files: Signatures = field(default_factory=dict)
    _attached: set[RunningRemoteForward] = field(default_factory=set)
    _serve_requested: asyncio.Event = field(default_factory=asyncio.Event)
    _forward_failure: Failure | None = None

    async def run(self) -> Failure:
        """Connect, serve or drain as requested, and return why the session ended."""
        try:
            return await self._connect_and_hold()
        except FailureError as failed:
            return failed.failure
        except Exception as error:
            end_if_out_of_memory()
            log.exception("tunnel %s: the session failed", self.tunnel.name)
            return Failure(
                Cause.PROTOCOL, f"internal error: {describe(error)}", hint="please report it"
            )

    def serve(self) -> None:
        """Serve the tunnel once connected. A draining session becomes the serving one again."""
        self.role = Role.SERVING
        self._serve_requested.set()
        if self.hop_connections is not None:
            self.hop_connections.connection.call_when_idle(None)

    def drain(self) -> None:
        """Accept nothing new, and notify the listener when the last channel closes."""
        self.role = Role.DRAINING
        if self.hop_connections is not None:
            self.hop_connections.connection.call_when_idle(lambda: self.listener.on_drained(self))

    def attach_remote_forward(self, remote: RunningRemoteForward, tasks: asyncio.TaskGroup) -> None:
        """Let a forward listen on the server. Before the connection is up, serving does it."""
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
        self.config_files = await self.read_signatures(await self.host_resolver.config_files())
        try:
            self.host_chain = await self.host_resolver.resolve(self.tunnel)
        except SshConfigError as error:
            cause = Cause.DNS if error.temporary else Cause.SSH_CONFIG
            failure = Failure(cause, error.message, self.tunnel.host, error.hint)
            raise FailureError(failure) from error
        except OSError as error:
            raise FailureError(to_failure(error, self.tunnel.host, "connect")) from error
        self.files = await self.read_signatures(_files_of(self.host_chain))
        if self.role is Role.SERVING:
            await self.listener.on_host_known(self)
        self.hop_connections = await self.connection_pool.connect(self.host_chain, self.progress)

    async def _hold(self) -> Failure:
        assert self.hop_connections is not None  # noqa: S101  _connect() made it
        connection = self.hop_connections.connection
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(self._serve_on_request(connection))
            use = tasks.create_task(self.listener.keep_in_use(connection))
            ended = await connection.wait_ended()
            self.listener.on_connection_ended(connection)
            serving.cancel()
            use.cancel()
        return self._forward_failure or ended

    async def _serve_on_request(self, connection: Connection) -> None:
        if self.role is Role.STANDBY:
            # The current session keeps its forwards until this one can take them over at once.
            self.progress.step(str(connection.host), "forwards")
            try:
                await connection.wait_for_answer()
            except FailureError as failed:
                self._forward_failure = failed.failure
                await connection.close()
                return
            self.listener.on_connected(self)
        while True:
            await self._serve_requested.wait()
            self._serve_requested.clear()
            self.gate.open(connection)
            self.progress.step(str(connection.host), "forwards")
            await self.listener.on_host_known(self)
            async with asyncio.TaskGroup() as tasks:
                for remote in self.remote_forwards():
                    self.attach_remote_forward(remote, tasks)
            connection.measure_round_trip(self.progress.keepalives_ignored)
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
        yield from (*host.login_files, *host.host_key_files)
