"""A tunnel's forwards while it runs: each listens, is tried again until it does, and is counted.

The local ones belong to the tunnel and stay bound while the connection is away; the remote ones
belong to the connection. Each tells its tunnel when its state changes.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.core.forwards import (
    LOOPBACK,
    Forward,
    LocalForward,
    LocalSide,
    RemoteSide,
    SocksForward,
    TcpAddress,
    kind_of,
    reachable,
    target_of,
)
from tunnelkeeper.core.retries import BLOCKED_RETRY
from tunnelkeeper.core.snapshot import FailureSnapshot, ForwardSnapshot, ForwardState
from tunnelkeeper.daemon.checking import Probing, RunningCheck
from tunnelkeeper.daemon.clock import iso
from tunnelkeeper.forwarding.listeners import Listener, ListenFailed, listen
from tunnelkeeper.forwarding.local import LocalClients
from tunnelkeeper.forwarding.probing import check_from_here, check_way_back
from tunnelkeeper.forwarding.remote import RemoteClients
from tunnelkeeper.ssh.steps import SshFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from tunnelkeeper.core.checks import Check, Failed, Impossible
    from tunnelkeeper.core.failures import Failure
    from tunnelkeeper.core.forwards import Address
    from tunnelkeeper.core.tunnels import Tunnel
    from tunnelkeeper.daemon.clock import Clock
    from tunnelkeeper.forwarding.gate import Gate, Opener
    from tunnelkeeper.forwarding.pump import Counters
    from tunnelkeeper.ssh.connection import Connection
    from tunnelkeeper.ssh.remote_listener import RemoteListener

LOCAL_RETRY = 1.0
"""Seconds between the tries at a local port that is taken: a bind costs next to nothing."""

REMOTE_RETRY = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between the tries at a remote port; the last goes on. A stale session of ours usually
holds it, and the server needs a while to notice. One that is forbidden is tried as seldom as a
blocked tunnel."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A failure and when it came."""

    failure: Failure
    at: datetime

    def snapshot(self) -> FailureSnapshot:
        """As front ends see it."""
        f = self.failure
        return FailureSnapshot(f.cause, f.hop, f.message, f.hint, iso(self.at))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a forward needs of its tunnel. tasks owns whatever the forward starts.

    on_useless: so many checks of it failed that the connection should be replaced.
    """

    gate: Gate
    tasks: asyncio.TaskGroup
    clock: Clock
    on_change: Callable[[], None]
    on_refused: Callable[[Forward, str], None]
    on_useless: Callable[[Forward, int], None]


class _Running:
    """What every running forward has."""

    def __init__(
        self, forward: Forward, counters: Counters, around: Surroundings, probing: Probing
    ) -> None:
        self.forward = forward
        self.counters = counters
        self.state: ForwardState = "pending"
        self.trouble: Trouble | None = None
        self.check: RunningCheck | None = None
        self._around = around
        self._probing = probing
        self._retry: asyncio.Task[None] | None = None

    @property
    def failing(self) -> Trouble | None:
        """Why it does not work: it does not listen, or it does and its check fails."""
        if self.check is not None and self.check.failure is not None:
            return Trouble(self.check.failure, self.check.failed_at)
        return self.trouble

    @property
    def address_shown(self) -> Address:
        """Where it listens, as its clients write it."""
        return self.forward.listen

    def snapshot(self) -> ForwardSnapshot:
        """As front ends see it."""
        target = target_of(self.forward)
        failing = self.failing
        return ForwardSnapshot(
            kind=kind_of(self.forward),
            listen=str(self.address_shown),
            connect=None if target is None else str(target),
            state="failed" if failing else self.state,
            failure=failing.snapshot() if failing else None,
            bytes_in=self.counters.bytes_in,
            bytes_out=self.counters.bytes_out,
            connections=self.counters.connections,
            connections_total=self.counters.connections_total,
            check=self.check.snapshot() if self.check else None,
        )

    def watch(self, check: Check | None) -> None:
        """Check it in this way from now on, or not at all.

        Where nothing changes, what the checks found stays.
        """
        if check == (self.check.check if self.check else None):
            return
        self.stop_checking()
        self.check = None if check is None else self._checked(check)
        if self.check is not None:
            self.check.look()

    def stop_checking(self) -> None:
        """Nobody wants it any more, for now or for good."""
        if self.check is not None:
            self.check.stop()

    def _checked(self, check: Check) -> RunningCheck:
        return RunningCheck(
            check,
            self._probing,
            tasks=self._around.tasks,
            clock=self._around.clock,
            connection=lambda: self._around.gate.connection if self.state == "listening" else None,
            on_change=self._around.on_change,
            on_useless=lambda failed: self._around.on_useless(self.forward, failed),
        )

    def _become(self, state: ForwardState, failure: Failure | None = None) -> None:
        old = self.state, self.trouble.failure if self.trouble else None
        if failure is None:
            self.trouble = None
        elif old[1] != failure:
            self.trouble = Trouble(failure, self._around.clock.wall())
        self.state = state
        if old != (state, failure):
            self._around.on_change()
        if self.check is not None:
            self.check.look()

    def _give_up_retrying(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None


class RunningLocal(_Running):
    """A forward that listens here, from the tunnel's start to its stop."""

    def __init__(self, forward: LocalSide, tunnel: Tunnel, around: Surroundings) -> None:
        self.clients = LocalClients(
            forward,
            around.gate,
            tunnel.hold_timeout,
            lambda words: around.on_refused(forward, words),
        )
        super().__init__(forward, self.clients.counters, around, self._probe)
        self._listener: Listener | None = None

    @property
    def address_shown(self) -> Address:
        """Where it listens: loopback by its number, which every client takes."""
        match self.forward.listen:
            case TcpAddress(host=host, port=port) if host == LOOPBACK:
                return TcpAddress("127.0.0.1", port)
        return self.forward.listen

    async def open(self) -> None:
        """Listen; where that fails, go on trying in the background."""
        if self._listener is None and self._retry is None and not await self._try():
            self._retry = self._around.tasks.create_task(self._keep_trying())

    def close(self) -> None:
        """Listen no more; connections that are open stay."""
        self._give_up_retrying()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._become("pending")

    async def _probe(self, opener: Opener, check: Check) -> Failed | Impossible | None:
        return await check_from_here(opener, target_of(self.forward), check)

    async def _keep_trying(self) -> None:
        while True:
            await self._around.clock.sleep(LOCAL_RETRY)
            if await self._try():
                self._retry = None
                return

    async def _try(self) -> bool:
        try:
            self._listener = await listen(self.forward.listen, self.clients.accept)
        except ListenFailed as failed:
            self._become("failed", failed.failure)
            return False
        self._become("listening")
        return True


class RunningRemote(_Running):
    """A forward that the server listens for, as long as a connection lives."""

    def __init__(self, forward: RemoteSide, around: Surroundings) -> None:
        self.clients = RemoteClients(
            forward, around.tasks, lambda words: around.on_refused(forward, words)
        )
        super().__init__(forward, self.clients.counters, around, self._probe)
        self._connection: Connection | None = None
        self._nudged = asyncio.Event()
        self._listener: RemoteListener | None = None

    @property
    def address_shown(self) -> Address:
        """Where the server listens: with the port it chose, once it did."""
        return self._listener.address if self._listener else self.forward.listen

    def attach(self, connection: Connection, tasks: asyncio.TaskGroup) -> None:
        """Ask the server to listen; where it does not, go on trying on this connection.

        What listens on another connection of ours gives way first: the server has each port once.
        tasks owns the first try.
        """
        if self._connection is not connection:
            self._give_up_retrying()
            self._connection = connection
            tasks.create_task(self._begin(connection))

    def leave(self, connection: Connection) -> None:
        """A connection is gone, and with it the server's listener, if this was attached to it."""
        if self._connection is connection:
            self.detach()

    def nudge(self) -> None:
        """Where it waits to ask again, ask at once: the server may have changed its mind."""
        self._nudged.set()

    def detach(self) -> None:
        """Belong to no connection any more."""
        self._give_up_retrying()
        self._connection = self._listener = None
        self._become("pending")

    async def close(self) -> None:
        """Ask the server to listen no more; connections that are open stay."""
        listener = self._listener
        self.detach()
        if listener is not None:
            await listener.close()

    async def _probe(self, opener: Opener, check: Check) -> Failed | Impossible | None:
        return await check_way_back(opener, reachable(self.address_shown), self.clients, check)

    async def _begin(self, connection: Connection) -> None:
        if self._connection is not connection:  # it was detached before this began
            return
        known = None
        if self._listener is not None:
            # Not pending meanwhile: it takes a moment only, and what a check found goes on to hold.
            known = self._listener.address
            await self._listener.close()
        if not await self._try(connection, known) and self._connection is connection:
            self._retry = self._around.tasks.create_task(self._keep_trying(connection))

    async def _keep_trying(self, connection: Connection) -> None:
        for delay in _delays():
            forbidden = self.trouble is not None and self.trouble.failure.needs_a_person
            await self._wait(BLOCKED_RETRY if forbidden else delay)
            if connection.is_closed or await self._try(connection):
                self._retry = None
                return

    async def _wait(self, seconds: float) -> None:
        clock = self._around.clock
        self._nudged = asyncio.Event()
        timer = clock.call_at(clock.monotonic() + seconds, self._nudged.set)
        try:
            await self._nudged.wait()
        finally:
            timer.cancel()

    async def _try(self, connection: Connection, known: Address | None = None) -> bool:
        try:
            listener = await self._ask(connection, known)
        except SshFailure as failed:
            # The end of the connection is not this forward's failure; it has its own cause.
            if self._connection is connection and not connection.is_closed:
                self._listener = None
                self._become("failed", failed.failure)
            return False
        if self._connection is connection:
            self._listener = listener
            self._become("listening")
        elif not connection.is_closed:  # nobody wants it any more
            await listener.close()
        return True

    async def _ask(self, connection: Connection, known: Address | None) -> RemoteListener:
        """Where it listened before if it may, though it asks for any port: people know that one.

        Raises SshFailure.
        """
        if known is not None and known != self.forward.listen:
            with suppress(SshFailure):
                return await connection.listen(known, self.clients.accept)
        return await connection.listen(self.forward.listen, self.clients.accept)


Running = RunningLocal | RunningRemote


def running(forward: Forward, tunnel: Tunnel, around: Surroundings) -> Running:
    """A forward, not yet listening."""
    if isinstance(forward, LocalForward | SocksForward):
        return RunningLocal(forward, tunnel, around)
    return RunningRemote(forward, around)


def _delays() -> Iterator[float]:
    yield from REMOTE_RETRY
    while True:
        yield REMOTE_RETRY[-1]
