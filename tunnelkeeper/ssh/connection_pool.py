"""Chains of hops: tunnels that pass the same jump hosts in the same way share those connections.

A jump host's connection is opened by the first that needs it and closed with the last. It is
asked for by its whole way (the hosts up to it), so a changed host is another connection.
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
    """A connection to the last host of a way, and its share in the jump host before it."""

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
        """Close the connection; a jump host goes with the last chain that uses it."""
        try:
            await self.connection.close()
        finally:
            if self._jump is not None:
                await self._jump.release()


@dataclass(slots=True)
class PooledConnection:
    """A jump host's chain, or the attempt at one, and how many hold on to it."""

    task: asyncio.Task[HopConnections | FailureError]
    remove: Callable[[], None]
    users: int = 0

    @property
    def is_unusable(self) -> bool:
        """Whether nobody can use it any more."""
        if not self.task.done():
            return False
        if self.task.cancelled():
            return True
        outcome = self.task.result()
        return isinstance(outcome, FailureError) or outcome.connection.is_closed

    async def wait_connected(self) -> HopConnections:
        """The chain, once it is connected.

        Raises SshFailure.
        """
        # Shielded: one user that gives up must not end the attempt of the others.
        outcome = await asyncio.shield(self.task)
        if isinstance(outcome, FailureError):
            raise FailureError(outcome.failure)
        return outcome

    async def release(self) -> None:
        """Let go; the last one closes it."""
        self.users -= 1
        if self.users > 0:
            return
        self.remove()
        if not self.task.done():
            self.task.cancel()
        elif not self.task.cancelled():
            outcome = self.task.result()
            if not isinstance(outcome, FailureError):
                await outcome.close()


@dataclass(slots=True)
class ConnectionPool:
    """The jump-host connections of one process. Use it as a context: it owns their tasks."""

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

    async def connect(self, host_chain: HostChain, progress: ProgressListener) -> HopConnections:
        """Connect to the last host of a way.

        Raises SshFailure.
        """
        if len(host_chain) == 1:
            return HopConnections(
                await connect_hop(host_chain[0], None, self.context, progress), host_chain, None
            )
        pooled = self._acquire(host_chain[:-1], progress)
        try:
            progress.step(str(host_chain[-2]), "connect")
            jump = await pooled.wait_connected()
            connection = await connect_hop(host_chain[-1], jump.connection, self.context, progress)
        except BaseException:
            await pooled.release()
            raise
        return HopConnections(connection, host_chain, pooled)

    def _acquire(self, host_chain: HostChain, progress: ProgressListener) -> PooledConnection:
        """A share in the connection to the end of a way; the first asks for it to be opened."""
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
            return await self.connect(host_chain, progress)
        except FailureError as failed:
            return failed  # raised in a task of its own, it would end the others

    def _remove(
        self, host_chain: HostChain, task: asyncio.Task[HopConnections | FailureError]
    ) -> None:
        if host_chain in self._connections and self._connections[host_chain].task is task:
            del self._connections[host_chain]
