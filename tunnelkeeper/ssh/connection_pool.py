"""Chains of hops. Tunnels with the same jump hosts in the same order share those connections.

The first user of a jump host opens its connection, and the last one closes it. The key is the
whole host chain up to the jump host, so a changed host gets a new connection.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tunnelkeeper.core.failures import FailureError
from tunnelkeeper.ssh.connect import connect_hop

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.ssh.connection import Connection
    from tunnelkeeper.ssh.context import ProgressListener, SshContext

HostChain = tuple["Host", ...]


@dataclass(slots=True)
class HopConnections:
    """A connection to the last host of a chain, and its hold on the jump host before it."""

    connection: Connection
    host_chain: HostChain
    _jump: PooledConnection | None

    @property
    def hops(self) -> list[Connection]:
        """The connections, first hop first."""
        hops = [self.connection]
        while hops[0].jump is not None:
            hops.insert(0, hops[0].jump)
        return hops

    async def close(self) -> None:
        """Close the connection, and release the jump host."""
        try:
            await self.connection.close()
        finally:
            if self._jump is not None:
                await self._jump.release()


@dataclass(slots=True)
class PooledConnection:
    """A jump host's connections, or the attempt to open them, with the number of users."""

    task: asyncio.Task[HopConnections | FailureError]
    remove: Callable[[], None]
    users: int = 0

    @property
    def is_unusable(self) -> bool:
        """Whether the connection has failed or ended."""
        if not self.task.done():
            return False
        if self.task.cancelled():
            return True
        result = self.task.result()
        return isinstance(result, FailureError) or result.connection.is_closed

    async def wait_connected(self) -> HopConnections:
        """Return the connections once they are open.

        Raises:
            FailureError: The attempt failed.
        """
        # Shielded: cancelling one user must not cancel the attempt of the others.
        result = await asyncio.shield(self.task)
        if isinstance(result, FailureError):
            raise FailureError(result.failure)
        return result

    async def release(self) -> None:
        """Drop one user. The last one closes the connection."""
        self.users -= 1
        if self.users > 0:
            return
        self.remove()
        if not self.task.done():
            self.task.cancel()
        elif not self.task.cancelled():
            result = self.task.result()
            if not isinstance(result, FailureError):
                await result.close()


@dataclass(slots=True)
class ConnectionPool:
    """The jump-host connections of one process. As a context manager it owns their tasks."""

    context: SshContext
    _connections: dict[HostChain, PooledConnection] = field(default_factory=dict)
    _tasks: asyncio.TaskGroup = field(default_factory=asyncio.TaskGroup)

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for share in self._connections.values():
            share.task.cancel()
        await self._tasks.__aexit__(kind, error, traceback)

    async def connect(
        self, host_chain: HostChain, progress: ProgressListener, *, is_shared: bool = False
    ) -> HopConnections:
        """Connect to the last host of a chain. is_shared: whether other tunnels will use it too.

        Raises:
            FailureError: A hop failed.
        """
        if len(host_chain) == 1:
            connection = await connect_hop(
                host_chain[0], None, self.context, progress, is_shared=is_shared
            )
            return HopConnections(connection, host_chain, None)
        pooled = self._acquire(host_chain[:-1], progress)
        try:
            progress.step(str(host_chain[-2]), "connect")
            jump = await pooled.wait_connected()
            connection = await connect_hop(
                host_chain[-1], jump.connection, self.context, progress, is_shared=is_shared
            )
        except BaseException:
            await pooled.release()
            raise
        return HopConnections(connection, host_chain, pooled)

    def _acquire(self, host_chain: HostChain, progress: ProgressListener) -> PooledConnection:
        """Return the shared connection to the last host of a chain; open it for the first user."""
        pooled = self._connections.get(host_chain)
        if pooled is None or pooled.is_unusable:
            opening = self._tasks.create_task(self._open(host_chain, progress))
            pooled = PooledConnection(opening, lambda: self._remove(host_chain, opening))
            self._connections[host_chain] = pooled
        pooled.users += 1
        return pooled

    async def _open(
        self, host_chain: HostChain, progress: ProgressListener
    ) -> HopConnections | FailureError:
        try:
            opened = await self.connect(host_chain, progress, is_shared=True)
        except FailureError as failed:
            return failed  # raised, it would cancel the other tasks of the group
        opened.connection.measure_round_trip(progress.info)
        return opened

    def _remove(
        self, host_chain: HostChain, task: asyncio.Task[HopConnections | FailureError]
    ) -> None:
        if host_chain in self._connections and self._connections[host_chain].task is task:
            del self._connections[host_chain]
