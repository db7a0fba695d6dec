"""In-memory fakes of an SSH connection pool, its connections, channels and listeners."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.core.configuration import Host
from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.failures import Cause, Failure, FailureError
from tunnelkeeper.core.forward_spec import TcpAddress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tunnelkeeper.core.configuration import Tunnel
    from tunnelkeeper.core.connect_error import OnError
    from tunnelkeeper.core.forward_spec import Address
    from tunnelkeeper.forwarding.pump import ChannelEndpoint
    from tunnelkeeper.ssh.context import ProgressListener
    from tunnelkeeper.sshconfig import SshConfigError

HostChain = tuple[Host, ...]

ASSIGNED_PORT = 40022
"""The port that the server assigns to a request for port 0."""

HOP = "me@relay:22"
REFUSED = Failure(Cause.REFUSED, "connection refused", HOP, "is the SSH server running?")
UNRESOLVED = Failure(Cause.DNS, "cannot resolve the host name", HOP)
LOST = Failure(Cause.LOST, "connection lost", HOP)
DENIED = Failure(Cause.AUTH, "permission denied (publickey)", HOP, files=("/no/such/key",))


def make_host(name: str = "relay") -> Host:
    return Host(name=name, hostname=name, user="me")


class FakeHostResolver:
    """A tunnel.context.HostResolver. chains: Hosts by tunnel name; the default is the host alone.

    error: Raised by every lookup. may_resolve: While cleared, every lookup waits.
    files: The files of ssh_config. forgotten: How often the answers were forgotten.
    """

    def __init__(self) -> None:
        self.chains: dict[str, HostChain] = {}
        self.error: SshConfigError | Exception | None = None
        self.files: tuple[str, ...] = ()
        self.forgotten = 0
        self.may_resolve = asyncio.Event()
        self.may_resolve.set()

    async def resolve(self, tunnel: Tunnel) -> HostChain:
        await self.may_resolve.wait()
        if self.error is not None:
            raise self.error
        return self.chains.get(tunnel.name, (make_host(tunnel.host),))

    async def config_files(self) -> tuple[str, ...]:
        return self.files

    def forget(self) -> None:
        self.forgotten += 1


class FakeChannel:
    """An open channel to a service that answers in upper case and closes after the client's EOF."""

    def __init__(self, endpoint: ChannelEndpoint, on_closed: Callable[[], None]) -> None:
        self.is_open = True
        self._on_closed = on_closed
        self._endpoint = endpoint
        self._answers: list[bytes] = []
        self._eof_sent = False
        self._is_paused = False

    def write(self, data: bytes) -> None:
        self._answers.append(data.upper())
        self._answer()

    def write_eof(self) -> None:
        self._eof_sent = True
        self._answer()

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self.is_open:
            self.is_open = False
            asyncio.get_running_loop().call_soon(self._endpoint.connection_lost, None)
            self._on_closed()

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False
        self._answer()

    def _answer(self) -> None:
        while self._answers and not self._is_paused:
            self._endpoint.data_received(self._answers.pop(0))
        if self._eof_sent and not self._is_paused:
            self._endpoint.eof_received()
            self.close()


@dataclass
class FakeListener:
    """A fake ssh.remote_listener.RemoteListener: a port that the server listens on."""

    address: Address
    accept_callbacks: dict[Address, Callable[[], Awaitable[ChannelEndpoint]]]

    async def close(self) -> None:
        await asyncio.sleep(0)
        del self.accept_callbacks[self.address]


class FakeConnection:
    """A fake ssh.connection.Connection.

    accept_callbacks: The callbacks that serve each remote forward. unreachable: Targets that this
    connection alone cannot reach. unused_seconds: As a test sets it.
    """

    cipher = "aes128-gcm@openssh.com"
    rtt_ms = 1.5
    key_exchange = "sntrup761x25519-sha512@openssh.com"
    answers_keepalives = True
    was_closed_by_server = True

    def __init__(self, host: Host, pool: FakeConnectionPool) -> None:
        self.unused_seconds: float | None = None
        self.unused_timeout: float | None = None
        self.host = host
        self.accept_callbacks: dict[Address, Callable[[], Awaitable[ChannelEndpoint]]] = {}
        self.opened: list[tuple[Address, FakeChannel]] = []
        self.unreachable: set[Address] = set()
        self.denied: set[Address] = set()
        self._pool = pool
        self.is_measured = False
        self._on_idle: Callable[[], None] | None = None
        self._endpoint: asyncio.Future[Failure] = asyncio.get_running_loop().create_future()

    @property
    def is_closed(self) -> bool:
        return self._endpoint.done()

    async def wait_for_answer(self) -> None:
        await self._pool.may_answer.wait()
        if self._pool.answer_failure is not None:
            raise FailureError(self._pool.answer_failure)

    def measure_round_trip(self, log: Callable[[str], None]) -> None:
        self.is_measured = True

    @property
    def channel_count(self) -> int:
        return sum(channel.is_open for _, channel in self.opened)

    def call_when_idle(self, callback: Callable[[], None] | None) -> None:
        self._on_idle = callback
        self._notify_if_idle()

    def _notify_if_idle(self) -> None:
        if self._on_idle is not None and not self.channel_count:
            self._on_idle()

    def lose(self, failure: Failure = LOST) -> None:
        """Lose the connection."""
        if not self._endpoint.done():
            self._endpoint.set_result(failure)
            self._pool.open_connections.remove(self)

    async def wait_ended(self) -> Failure:
        return await asyncio.shield(self._endpoint)

    async def close(self) -> None:
        try:
            await self._pool.may_close.wait()
        finally:
            self.lose()
        if self._pool.close_error is not None:
            raise self._pool.close_error

    def open_channel(
        self, target: Address, endpoint: ChannelEndpoint, origin: tuple[str, int], refused: OnError
    ) -> None:
        if target in self._pool.unresponsive:
            return
        if self.is_closed or target in self._pool.unreachable | self.unreachable:
            refused(ConnectError(Reason.REFUSED, "connect failed"))
            return
        if target in self.denied:
            text = "administratively prohibited: open failed"
            refused(ConnectError(Reason.NOT_PERMITTED, text, is_denied=True))
            return
        if self._pool.open_error is not None:
            raise self._pool.open_error
        channel = FakeChannel(endpoint, self._notify_if_idle)
        self.opened.append((target, channel))
        endpoint.connection_made(channel)

    async def listen(
        self, address: Address, accept: Callable[[], Awaitable[ChannelEndpoint]]
    ) -> FakeListener:
        self._pool.listen_requests.append(address)
        await self._pool.may_listen.wait()
        if self._pool.listen_error is not None:
            raise self._pool.listen_error
        if self.is_closed or address in (*self._pool.ports_in_use, *self._pool.listening):
            message = f"the server does not listen on {address}"
            raise FailureError(Failure(Cause.REMOTE_PORT_BUSY, message, str(self.host)))
        match address:
            case TcpAddress(host=host, port=0):
                address = TcpAddress(host, ASSIGNED_PORT)
        self.accept_callbacks[address] = accept
        return FakeListener(address, self.accept_callbacks)


@dataclass
class FakeHopConnections:
    """A fake ssh.connection_pool.HopConnections whose jump hosts never end on their own."""

    connection: FakeConnection
    host_chain: HostChain
    jump_hosts: list[FakeConnection]

    @property
    def hops(self) -> list[FakeConnection]:
        return [*self.jump_hosts, self.connection]

    async def close(self) -> None:
        await self.connection.close()
        for jump_host in reversed(self.jump_hosts):
            await jump_host.close()


@dataclass(eq=False)
class Attempt:
    """One attempt to connect. It waits until the test lets it succeed or fail."""

    host_chain: HostChain
    progress: ProgressListener
    pool: FakeConnectionPool
    outcome: asyncio.Future[FakeHopConnections]

    @property
    def is_pending(self) -> bool:
        return not self.outcome.done()

    def succeed(self) -> FakeConnection:
        hops = [FakeConnection(host, self.pool) for host in self.host_chain]
        self.pool.open_connections += hops
        self.outcome.set_result(FakeHopConnections(hops[-1], self.host_chain, hops[:-1]))
        return hops[-1]

    def fail(self, failure: Failure = REFUSED) -> None:
        self.outcome.set_exception(FailureError(failure))


@dataclass
class FakeConnectionPool:
    """A fake ssh.connection_pool.ConnectionPool, with the server behind it. It records requests.

    ports_in_use: Addresses on which the server refuses to listen.
    unreachable: Targets that the server cannot connect to.
    unresponsive: Targets for which a channel open is never answered.
    network_changes: The arguments of `network_changed`.
    may_listen, may_close, may_answer: While cleared, such requests wait. answer_failure: Raised
    for a server that does not answer.
    listen_error, open_error, close_error: Internal errors that such requests raise.
    """

    attempts: list[Attempt] = field(default_factory=list)
    open_connections: list[FakeConnection] = field(default_factory=list)
    listen_requests: list[Address] = field(default_factory=list)
    ports_in_use: set[Address] = field(default_factory=set)
    unreachable: set[Address] = field(default_factory=set)
    unresponsive: set[Address] = field(default_factory=set)
    network_changes: list[frozenset[str] | None] = field(default_factory=list)
    listen_error: Exception | None = None
    open_error: Exception | None = None
    close_error: Exception | None = None
    may_listen: asyncio.Event = field(default_factory=asyncio.Event)
    may_close: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    answer_failure: Failure | None = None

    def __post_init__(self) -> None:
        self.may_listen.set()
        self.may_close.set()
        self.may_answer.set()

    async def connect(
        self, host_chain: HostChain, progress: ProgressListener
    ) -> FakeHopConnections:
        outcome: asyncio.Future[FakeHopConnections] = asyncio.get_running_loop().create_future()
        self.attempts.append(Attempt(host_chain, progress, self, outcome))
        progress.step(str(host_chain[-1]), "connect")
        try:
            return await outcome
        except asyncio.CancelledError:
            if outcome.done() and not outcome.cancelled():  # the caller never saw the result
                for connection in outcome.result().hops:
                    connection.lose()
            raise

    def network_changed(self, present: frozenset[str] | None) -> None:
        self.network_changes.append(present)

    @property
    def listening(self) -> list[Address]:
        """The addresses that the server listens on."""
        return [
            address
            for connection in self.open_connections
            for address in connection.accept_callbacks
        ]

    @property
    def pending_attempts(self) -> list[Attempt]:
        """The attempts without an outcome."""
        return [attempt for attempt in self.attempts if attempt.is_pending]
