"""A forward that listens on the server. It belongs to one connection and moves to the next."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import FailureError
from tunnelkeeper.core.forward_spec import RemotelyBoundForward, connectable_address
from tunnelkeeper.core.retry_policy import BLOCKED_DELAY
from tunnelkeeper.core.shares import Holder
from tunnelkeeper.forwarding.health_probe import check_remote_forward
from tunnelkeeper.forwarding.remote_clients import RemoteClients
from tunnelkeeper.net.descriptor_pool import DescriptorShare
from tunnelkeeper.tunnel.forward import ForwardContext, RunningForward

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.core.forward_spec import Address
    from tunnelkeeper.core.health_checks import Check, CheckFailed, CheckImpossible
    from tunnelkeeper.forwarding.gate import ChannelOpener
    from tunnelkeeper.ssh.connection import Connection
    from tunnelkeeper.ssh.remote_listener import RemoteListener
    from tunnelkeeper.tunnel.forward_expansion import ExpandedForward

REMOTE_RETRY_DELAYS = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between attempts to listen on a remote port; the last delay repeats. Usually a stale
session of ours holds the port, and the server needs a while to notice. A forbidden port is retried
as seldom as a blocked tunnel."""


class RunningRemoteForward(RunningForward):
    """A forward that listens on the server while its connection lasts."""

    def __init__(
        self, forward: RemotelyBoundForward, expanded: ExpandedForward, context: ForwardContext
    ) -> None:
        self.clients = RemoteClients(
            forward,
            context.tasks,
            self._on_client_failed,
            self._on_client_served,
            DescriptorShare(
                context.descriptors, (Holder(f"the server of {context.tunnel}", context.tunnel),)
            ),
        )
        super().__init__(expanded, self.clients.counters, context, self._probe)
        self._connection: Connection | None = None
        self._retry_requested = asyncio.Event()
        self._listener: RemoteListener | None = None

    @property
    def listen_address(self) -> Address:
        """The address that the server listens on, with the port that it assigned."""
        return self._listener.address if self._listener else self.forward.listen

    def attach(self, connection: Connection, tasks: asyncio.TaskGroup) -> None:
        """Ask the server to listen, and retry on this connection if it refuses.

        The listener on a previous connection is closed first, because the server can bind each
        port only once. tasks owns the first attempt.
        """
        if self._connection is not connection and not self.expanded.waits_for_lookup:
            self._cancel_retry()
            self._connection = connection
            self.clients.permits = connection.host.permit_remote_open
            tasks.create_task(self._start_listening(connection))

    def connection_lost(self, connection: Connection) -> None:
        """Detach if this was attached to the lost connection, whose listeners are gone."""
        if self._connection is connection:
            self.detach()

    def retry_now(self) -> None:
        """Skip the current retry delay: the server may accept now."""
        self._retry_requested.set()

    def detach(self) -> None:
        """Forget the connection and its listener."""
        self._cancel_retry()
        self._connection = self._listener = None
        self._set_state("pending")

    async def close(self) -> None:
        """Ask the server to stop listening. Open connections stay open."""
        listener = self._listener
        self.detach()
        if listener is not None:
            await listener.close()

    async def _probe(
        self, opener: ChannelOpener, check: Check
    ) -> CheckFailed | CheckImpossible | None:
        return await check_remote_forward(
            opener, connectable_address(self.listen_address), self.clients, check
        )

    async def _start_listening(self, connection: Connection) -> None:
        if self._connection is not connection:  # detached before this task started
            return
        previous = None
        if self._listener is not None:
            # Keep the state: the move takes a moment only, and the last check result stays valid.
            previous = self._listener.address
            await self._listener.close()
        if not await self._try_listen(connection, previous) and self._connection is connection:
            self._retry_task = self._context.tasks.create_task(
                self._retry_until_listening(connection)
            )

    async def _retry_until_listening(self, connection: Connection) -> None:
        for delay in _delays():
            forbidden = self.last_failure is not None and self.last_failure.failure.needs_user
            await self._wait_for_retry(BLOCKED_DELAY if forbidden else delay)
            if connection.is_closed or await self._try_listen(connection):
                self._retry_task = None
                return

    async def _wait_for_retry(self, seconds: float) -> None:
        clock = self._context.clock
        self._retry_requested = asyncio.Event()
        timer = clock.call_at(clock.monotonic() + seconds, self._retry_requested.set)
        try:
            await self._retry_requested.wait()
        finally:
            timer.cancel()

    async def _try_listen(self, connection: Connection, previous: Address | None = None) -> bool:
        try:
            listener = await self._request_listener(connection, previous)
        except FailureError as failed:
            # The end of the connection is not a failure of this forward; it has its own cause.
            if self._connection is connection and not connection.is_closed:
                self._listener = None
                self._set_state("failed", failed.failure)
            return False
        if self._connection is connection:
            self._listener = listener
            self._set_state("listening")
        elif not connection.is_closed:  # detached meanwhile
            await listener.close()
        return True

    async def _request_listener(
        self, connection: Connection, previous: Address | None
    ) -> RemoteListener:
        """Request a listener. Prefer the port that the server assigned before, as clients know it.

        Raises:
            FailureError: The server does not listen.
        """
        if previous is not None and previous != self.forward.listen:
            with suppress(FailureError):
                return await connection.listen(previous, self.clients.accept)
        return await connection.listen(self.forward.listen, self.clients.accept)


def _delays() -> Iterator[float]:
    yield from REMOTE_RETRY_DELAYS
    while True:
        yield REMOTE_RETRY_DELAYS[-1]
