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
SHUT_OUT = b"Not allowed at this time\r\n"
CROWDED = b"Exceeded MaxStartups\r\n"

log = logging.getLogger(__name__)


class UnauthenticatedConnection(Protocol):
    """A connection that has not logged in."""

    @property
    def has_spoken(self) -> bool:
        """Whether it has said anything yet; an SSH client names its version at once."""

    def close(self) -> None:
        """Close it."""


class AdmissionControl:
    """Counts the strangers of one relay. chance: random numbers, 0 <= chance < 1."""

    def __init__(
        self,
        shared: RelayContext,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared = shared
        self._chance = chance
        self._clock = clock
        self._strangers: dict[UnauthenticatedConnection, None] = {}

    @property
    def waiting(self) -> int:
        """How many have not logged in."""
        return len(self._strangers)

    def check(self, address: TcpAddress) -> bytes | None:
        """What to tell one who knocks and is not let in; None: come in.

        Where there are too many strangers, the oldest that has said nothing makes room: so those
        who only hold connections open keep nobody out who wants to log in.
        """
        limits = self._shared.configuration.limits
        if limits.penalties and self._shared.penalties.is_refused(address.host, self._clock()):
            self._note(address, "its address did too much wrong lately")
            return SHUT_OUT
        if not limits.max_startups.refuses(self.waiting, self._chance()):
            return None
        silent = next((one for one in self._strangers if not one.has_spoken), None)
        if silent is None:
            self._note(address, f"{self.waiting} connections have not logged in")
            return CROWDED
        self.leave(silent)
        silent.close()
        return None

    def enter(self, stranger: UnauthenticatedConnection) -> None:
        """Count one who was let in."""
        self._strangers[stranger] = None

    def leave(self, stranger: UnauthenticatedConnection) -> None:
        """Count one no more: it has logged in, or is gone."""
        self._strangers.pop(stranger, None)

    def close_all(self) -> None:
        """Close every connection that has not logged in."""
        for stranger in list(self._strangers):
            self.leave(stranger)
            stranger.close()

    def penalize(self, address: TcpAddress, offence: Offence) -> None:
        """Remember what one from this address did.

        This machine's own is left out: behind a proxy that runs here, it is everybody's.
        """
        if self._shared.configuration.limits.penalties and not _is_loopback(address.host):
            self._shared.penalties.note(address.host, offence, self._clock())

    def _note(self, address: TcpAddress, reason: str) -> None:
        self._shared.refusals.note(RefusalKind.CONNECTION, address.host, "", reason)


def _is_loopback(host: str) -> bool:
    try:
        return addresses.parse(host).is_loopback
    except ValueError:
        return False


class AdmissionProtocol(asyncio.Protocol):
    """One who has just connected: turned away, or handed to the protocol that serves it."""

    def __init__(
        self, door: AdmissionControl, admit: Callable[[TcpAddress], asyncio.Protocol]
    ) -> None:
        self._door = door
        self._admit = admit

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Decide."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        peer = transport.get_extra_info("peername")
        if peer is None:  # it is gone already
            transport.abort()
            return
        address = TcpAddress(peer[0], peer[1])
        words = self._door.check(address)
        if words is not None:
            transport.write(words)
            transport.close()
            return
        protocol = self._admit(address)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
