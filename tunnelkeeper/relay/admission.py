"""Admission control before the handshake: MaxStartups, PerSourceMaxStartups, PerSourcePenalties.

A refused connection gets one line of text and no SSH handshake. Authentication itself belongs to
`auth_session`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tunnelkeeper.core.fair_queue import Flow
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.relay import addresses
from tunnelkeeper.relay.budgets import login_limit
from tunnelkeeper.relay.per_source import FAIR_BLOCK
from tunnelkeeper.relay.refusal_log import RefusalKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tunnelkeeper.relay.context import RelayContext
    from tunnelkeeper.relay.penalties import Offence
    from tunnelkeeper.ssh.fastpath.receive_scheduler import ReceiveScheduler

# sshd's own texts. RFC 4253 section 4.2 allows such lines before the version string.
PENALTY_MESSAGE = b"Not allowed at this time\r\n"
MAX_STARTUPS_MESSAGE = b"Exceeded MaxStartups\r\n"

log = logging.getLogger(__name__)


class UnauthenticatedConnection(Protocol):
    """A connection that has not authenticated yet."""

    @property
    def has_sent_banner(self) -> bool:
        """Whether the peer has sent its version string, as an SSH client does at once."""

    def close(self) -> None:
        """Close the connection."""


class Source(NamedTuple):
    """Where a connection comes from. client: whose share it is. block: for PerSourceMaxStartups."""

    client: str
    block: str


class AdmissionControl:
    """The unauthenticated connections of one relay. chance: returns a random 0 <= number < 1."""

    def __init__(
        self,
        context: RelayContext,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._chance = chance
        self._clock = clock
        self._connections: dict[UnauthenticatedConnection, Source] = {}  # oldest first
        self._by_client: dict[str, dict[UnauthenticatedConnection, None]] = {}

    @property
    def waiting(self) -> int:
        """The number of connections that have not authenticated."""
        return len(self._connections)

    def check(self, address: TcpAddress) -> bytes | None:
        """Return the refusal to send to a new connection, or None to admit it.

        The descriptors that are kept for logins are a limit as well. At a limit, an older
        connection is closed instead if its client holds more than its share, or is silent.
        """
        limits = self._context.configuration.limits
        if self._context.bans.of_address(address.host, self._context.clock.wall()):
            self._record_refusal(address, "the address is banned")
            return PENALTY_MESSAGE
        if limits.penalties and self._context.penalties.is_refused(address.host, self._clock()):
            self._record_refusal(address, "too many recent failures from this address")
            return PENALTY_MESSAGE
        source = self._source_of(address)
        if limits.per_source_max_startups:
            held = sum(other.block == source.block for other in self._connections.values())
            if held >= limits.per_source_max_startups:
                self._record_refusal(
                    address, f"{held} connections of {source.block} have not logged in"
                )
                return MAX_STARTUPS_MESSAGE
        has_descriptors = self.waiting < login_limit(self._context.descriptors)
        if has_descriptors and not limits.max_startups.refuses(self.waiting, self._chance()):
            return None
        replaced = self._replaceable(source.client)
        if replaced is None:
            self._record_refusal(address, f"{self.waiting} connections have not logged in")
            return MAX_STARTUPS_MESSAGE
        self.discard(replaced)
        replaced.close()
        return None

    def _replaceable(self, client: str) -> UnauthenticatedConnection | None:
        """Return the connection to close for a new one, or None to refuse the new one.

        The client with the most connections loses one, unless the new one would have as many. A
        client that already has several loses a silent one of its own. Among clients with one
        connection each, the oldest silent one is closed.
        """
        own = self._by_client.get(client, {})
        most = max(self._by_client.values(), key=len, default=own)
        if len(most) >= len(own) + 2:
            return _oldest_silent(most) or next(iter(most))
        return _oldest_silent(own if len(own) > 1 else self._connections)

    def add(self, connection: UnauthenticatedConnection, address: TcpAddress) -> None:
        """Count an admitted connection."""
        source = self._source_of(address)
        self._connections[connection] = source
        self._by_client.setdefault(source.client, {})[connection] = None

    def discard(self, connection: UnauthenticatedConnection) -> None:
        """Stop counting a connection that has authenticated or closed."""
        source = self._connections.pop(connection, None)
        if source is None:
            return
        held = self._by_client[source.client]
        del held[connection]
        if not held:
            del self._by_client[source.client]

    def _source_of(self, address: TcpAddress) -> Source:
        block_size = self._context.configuration.limits.per_source_net_block_size
        return Source(FAIR_BLOCK.block_of(address.host), block_size.block_of(address.host))

    def close_all(self) -> None:
        """Close every connection that has not authenticated."""
        for connection in list(self._connections):
            self.discard(connection)
            connection.close()

    def flow_of(self, address: TcpAddress) -> Flow:
        """Return the flow that the logins of a client share."""
        return self._context.login_flows.of(FAIR_BLOCK.block_of(address.host))

    def penalize(self, address: TcpAddress, offence: Offence) -> None:
        """Add the penalty for an offence to an address.

        Loopback is exempt: behind a proxy on this machine, all clients share it.
        """
        if self._context.configuration.limits.penalties and not _is_loopback(address.host):
            self._context.penalties.add(address.host, offence, self._clock())

    def _record_refusal(self, address: TcpAddress, reason: str) -> None:
        self._context.refusals.record(RefusalKind.CONNECTION, address.host, "", reason)


def _oldest_silent(
    connections: Iterable[UnauthenticatedConnection],
) -> UnauthenticatedConnection | None:
    return next((each for each in connections if not each.has_sent_banner), None)


def _is_loopback(host: str) -> bool:
    try:
        return addresses.parse(host).is_loopback
    except ValueError:
        return False


class AdmissionProtocol(asyncio.Protocol):
    """Protocol of a new connection: refuses it or hands it to the SSH transport.

    An admitted connection waits for its turn among the logins, since a transport costs time. It is
    a receive_scheduler.Receiver and an UnauthenticatedConnection meanwhile.
    """

    is_logging_in = True
    has_sent_banner = False

    def __init__(
        self,
        admission: AdmissionControl,
        create_transport: Callable[[TcpAddress], asyncio.Protocol],
        scheduler: ReceiveScheduler,
    ) -> None:
        self._admission = admission
        self._create_transport = create_transport
        self._scheduler = scheduler
        self._transport: asyncio.Transport | None = None
        self._address = TcpAddress("", 0)
        self.flow = Flow()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse the connection, or let it wait for its turn."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        peer = transport.get_extra_info("peername")
        if peer is None:  # disconnected already
            transport.abort()
            return
        address = TcpAddress(peer[0], peer[1])
        message = self._admission.check(address)
        if message is not None:
            transport.write(message)
            transport.close()
            return
        transport.pause_reading()
        self._transport, self._address = transport, address
        self.flow = self._admission.flow_of(address)
        self._admission.add(self, address)
        self._scheduler.receive(self)

    def close(self) -> None:
        """Close the connection to make room for another one."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting the connection."""
        del exc
        self._transport = None
        self._admission.discard(self)

    @property
    def has_received(self) -> bool:
        """Whether it waits for its turn."""
        return self._transport is not None

    def process_received(self, turn_end: float) -> int:
        """Hand the connection to the transport that `create_transport` returns."""
        del turn_end
        transport, self._transport = self._transport, None
        if transport is None:
            return 0
        self._admission.discard(self)
        protocol = self._create_transport(self._address)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        transport.resume_reading()
        return 0
