"""Who gets as far as a handshake: how many strangers may wait at once, and who must stay away.

A connection that is refused costs the relay a line of text; no SSH is spoken with it. What a
stranger does once let in is for its visitor to see.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.relay import addresses
from tunnelkeeper.relay.refusal_log import RefusalKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.relay.context import RelayContext
    from tunnelkeeper.relay.penalties import Offence

# What sshd says to those it does not let in; RFC 4253 section 4.2 allows such lines.
PENALTY_MESSAGE = b"Not allowed at this time\r\n"
MAX_STARTUPS_MESSAGE = b"Exceeded MaxStartups\r\n"

log = logging.getLogger(__name__)


class UnauthenticatedConnection(Protocol):
    """A connection that has not logged in."""

    @property
    def has_sent_banner(self) -> bool:
        """Whether it has said anything yet; an SSH client names its version at once."""

    def close(self) -> None:
        """Close it."""


class AdmissionControl:
    """Counts the strangers of one relay. chance: random numbers, 0 <= chance < 1."""

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
        """How many have not logged in."""
        return len(self._connections)

    def check(self, address: TcpAddress) -> bytes | None:
        """What to tell one who knocks and is not let in; None: come in.

        Where there are too many strangers, the oldest that has said nothing makes room: so those
        who only hold connections open keep nobody out who wants to log in.
        """
        limits = self._context.configuration.limits
        if limits.penalties and self._context.penalties.is_refused(address.host, self._clock()):
            self._record_refusal(address, "its address did too much wrong lately")
            return PENALTY_MESSAGE
        if not limits.max_startups.refuses(self.waiting, self._chance()):
            return None
        silent = next((one for one in self._connections if not one.has_sent_banner), None)
        if silent is None:
            self._record_refusal(address, f"{self.waiting} connections have not logged in")
            return MAX_STARTUPS_MESSAGE
        self.discard(silent)
        silent.close()
        return None

    def add(self, connection: UnauthenticatedConnection) -> None:
        """Count one who was let in."""
        self._connections[connection] = None

    def discard(self, connection: UnauthenticatedConnection) -> None:
        """Count one no more: it has logged in, or is gone."""
        self._connections.pop(connection, None)

    def close_all(self) -> None:
        """Close every connection that has not logged in."""
        for connection in list(self._connections):
            self.discard(connection)
            connection.close()

    def penalize(self, address: TcpAddress, offence: Offence) -> None:
        """Remember what one from this address did.

        This machine's own is left out: behind a proxy that runs here, it is everybody's.
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
    """One who has just connected: turned away, or handed to the protocol that serves it."""

    def __init__(
        self, admission: AdmissionControl, admit: Callable[[TcpAddress], asyncio.Protocol]
    ) -> None:
        self._admission = admission
        self._create_transport = admit

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Decide."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        peer = transport.get_extra_info("peername")
        if peer is None:  # it is gone already
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
