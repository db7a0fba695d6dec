"""State that all connections of one relay share, and the log of what it refused."""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tunnelkeeper.clock import SystemClock, iso_now
from tunnelkeeper.core.budget import Budget
from tunnelkeeper.core.relay_snapshot import RefusalSnapshot, RefusalsSnapshot
from tunnelkeeper.core.text import printable
from tunnelkeeper.relay.bans import BanList
from tunnelkeeper.relay.budgets import (
    SharedBudget,
    relay_channels,
    relay_descriptors,
    relay_lookups,
)
from tunnelkeeper.relay.departures import Departures
from tunnelkeeper.relay.host_names import HostNames
from tunnelkeeper.relay.penalties import Penalties
from tunnelkeeper.relay.registry import Registry
from tunnelkeeper.relay.revoked_keys import RevokedKeysFile
from tunnelkeeper.ssh.fastpath.receive_scheduler import Flows

if TYPE_CHECKING:
    from tunnelkeeper.clock import Clock
    from tunnelkeeper.net.descriptor_pool import DescriptorPool
    from tunnelkeeper.relay.authorized_keys_store import AuthorizedKeysStore
    from tunnelkeeper.relay.config import RelayConfiguration


RECENT = 50

log = logging.getLogger(__name__)


class RefusalKind(StrEnum):
    """The kind of request that was refused."""

    CONNECTION = "connection"
    LOGIN = "login"
    LISTEN = "listen"
    OPEN = "open"


class RefusalLog:
    """The refusals since the relay started."""

    def __init__(self) -> None:
        self._counts: Counter[RefusalKind] = Counter()
        self._recent: deque[RefusalSnapshot] = deque(maxlen=RECENT)

    def record(self, kind: RefusalKind, address: str, user: str, reason: str) -> None:
        """Count and log a refusal. user and reason may contain text of the client."""
        self._counts[kind] += 1
        user, reason = printable(user, 64), printable(reason)
        self._recent.append(RefusalSnapshot(iso_now(), kind.value, address, user, reason))
        log.info("%s%s: %s refused: %s", f"{user}@" if user else "", address, kind, reason)

    def snapshot(self) -> RefusalsSnapshot:
        """Return the refusals for `relay status`."""
        return RefusalsSnapshot(
            connections=self._counts[RefusalKind.CONNECTION],
            logins=self._counts[RefusalKind.LOGIN],
            listens=self._counts[RefusalKind.LISTEN],
            opens=self._counts[RefusalKind.OPEN],
            recent=list(self._recent),
        )


@dataclass(slots=True)
class RelayContext:
    """Shared state of a relay. A reload replaces configuration and authorized_keys."""

    configuration: RelayConfiguration
    authorized_keys: AuthorizedKeysStore
    revoked_keys: RevokedKeysFile = field(default_factory=RevokedKeysFile)
    bans: BanList = field(default_factory=BanList)
    clock: Clock = field(default_factory=SystemClock)
    registry: Registry = field(default_factory=Registry)
    departures: Departures = field(default_factory=Departures)
    host_names: HostNames = field(default_factory=HostNames)
    refusals: RefusalLog = field(default_factory=RefusalLog)
    penalties: Penalties = field(default_factory=Penalties)
    descriptors: DescriptorPool = field(default_factory=relay_descriptors)
    channels: SharedBudget = field(default_factory=relay_channels)
    lookups: SharedBudget = field(default_factory=relay_lookups)
    login_flows: Flows = field(default_factory=Flows)  # by source address
    key_flows: Flows = field(default_factory=Flows)
    budget: Budget[Any] = field(default_factory=Budget)
