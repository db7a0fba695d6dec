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
        while hops[0].via is not None:
            hops.insert(0, hops[0].via)
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

    opening: asyncio.Task[HopConnections | FailureError]
    forget: Callable[[], None]
    users: int = 0

    @property
    def is_dead(self) -> bool:
        """Whether nobody can use it any more."""
        if not self.opening.done():
            return False
        if self.opening.cancelled():
            return True
        outcome = self.opening.result()
        return isinstance(outcome, FailureError) or outcome.connection.is_closed

    async def chain(self) -> HopConnections:
        """The chain, once it is connected.

        Raises SshFailure.
        """
        # Shielded: one user that gives up must not end the attempt of the others.
        outcome = await asyncio.shield(self.opening)
        if isinstance(outcome, FailureError):
            raise FailureError(outcome.failure)
        return outcome

    async def release(self) -> None:
        """Let go; the last one closes it."""
        self.users -= 1
        if self.users > 0:
            return
        self.forget()
        if not self.opening.done():
            self.opening.cancel()
        elif not self.opening.cancelled():
            outcome = self.opening.result()
            if not isinstance(outcome, FailureError):
                await outcome.close()


@dataclass(slots=True)
class ConnectionPool:
    """The jump-host connections of one process. Use it as a context: it owns their tasks."""

    context: SshContext
    _shares: dict[HostChain, PooledConnection] = field(default_factory=dict)
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
        for share in self._shares.values():
            share.opening.cancel()
        await self._tasks.__aexit__(kind, error, traceback)

    async def connect(self, way: HostChain, report: ProgressListener) -> HopConnections:
        """Connect to the last host of a way.

        Raises SshFailure.
        """
        if len(way) == 1:
            return HopConnections(await connect_hop(way[0], None, self.context, report), way, None)
        share = self._share(way[:-1], report)
        try:
            report.step(str(way[-2]), "connect")
            jump = await share.chain()
            connection = await connect_hop(way[-1], jump.connection, self.context, report)
        except BaseException:
            await share.release()
            raise
        return HopConnections(connection, way, share)

    def _share(self, way: HostChain, report: ProgressListener) -> PooledConnection:
        """A share in the connection to the end of a way; the first asks for it to be opened."""
        share = self._shares.get(way)
        if share is None or share.is_dead:
            opening = self._tasks.create_task(self._open(way, report))
            share = PooledConnection(opening, lambda: self._forget(way, opening))
            self._shares[way] = share
        share.users += 1
        return share

    async def _open(
        self, way: HostChain, report: ProgressListener
    ) -> HopConnections | FailureError:
        try:
            return await self.connect(way, report)
        except FailureError as failed:
            return failed  # raised in a task of its own, it would end the others

    def _forget(self, way: HostChain, opening: asyncio.Task[HopConnections | FailureError]) -> None:
        if way in self._shares and self._shares[way].opening is opening:
            del self._shares[way]
