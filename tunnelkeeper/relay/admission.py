"""Admission control before the handshake: MaxStartups and PerSourcePenalties.

A refused connection gets one line of text and no SSH handshake. Authentication itself belongs to
`auth_session`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.relay import addresses
from tunnelkeeper.relay.budgets import login_limit
from tunnelkeeper.relay.context import RefusalKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.relay.context import RelayContext
    from tunnelkeeper.relay.penalties import Offence

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
        self._connections: dict[UnauthenticatedConnection, None] = {}

    @property
    def waiting(self) -> int:
        """The number of connections that have not authenticated."""
        return len(self._connections)

    def check(self, address: TcpAddress) -> bytes | None:
        """Return the refusal to send to a new connection, or None to admit it.

        The descriptors that are kept for logins are a limit as well.
        At the limit, the oldest connection that has sent no version string is closed instead.
        Clients that only hold connections open therefore cannot keep others out.
        """
        limits = self._context.configuration.limits
        if self._context.bans.of_address(address.host, self._context.clock.wall()):
            self._record_refusal(address, "the address is banned")
            return PENALTY_MESSAGE
        if limits.penalties and self._context.penalties.is_refused(address.host, self._clock()):
            self._record_refusal(address, "too many recent failures from this address")
            return PENALTY_MESSAGE
        has_descriptors = self.waiting < login_limit(self._context.descriptors)
        if has_descriptors and not limits.max_startups.refuses(self.waiting, self._chance()):
            return None
        silent = next((each for each in self._connections if not each.has_sent_banner), None)
        if silent is None:
            self._record_refusal(address, f"{self.waiting} connections have not logged in")
            return MAX_STARTUPS_MESSAGE
        self.discard(silent)
        silent.close()
        return None

    def add(self, connection: UnauthenticatedConnection) -> None:
        """Count an admitted connection."""
        self._connections[connection] = None

    def discard(self, connection: UnauthenticatedConnection) -> None:
        """Stop counting a connection that has authenticated or closed."""
        self._connections.pop(connection, None)

    def close_all(self) -> None:
        """Close every connection that has not authenticated."""
        for connection in list(self._connections):
            self.discard(connection)
            connection.close()

    def penalize(self, address: TcpAddress, offence: Offence) -> None:
        """Add the penalty for an offence to an address.

        Loopback is exempt: behind a proxy on this machine, all clients share it.
        """
        if self._context.configuration.limits.penalties and not _is_loopback(address.host):
            self._context.penalties.add(address.host, offence, self._clock())

    def _record_refusal(self, address: TcpAddress, reason: str) -> None:
        self._context.refusals.record(RefusalKind.CONNECTION, address.host, "", reason)


def _is_loopback(host: str) -> bool:
    try:
        return addresses.parse(host).is_loopback
    except ValueError:
        return False


class AdmissionProtocol(asyncio.Protocol):
    """Protocol of a new connection: refuses it or hands it to the SSH transport."""

    def __init__(
        self,
        admission: AdmissionControl,
        create_transport: Callable[[TcpAddress], asyncio.Protocol],
    ) -> None:
        self._admission = admission
        self._create_transport = create_transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse the connection, or pass it to the transport that `create_transport` returns."""
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
        protocol = self._create_transport(address)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
