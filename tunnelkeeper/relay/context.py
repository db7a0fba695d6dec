"""State that all connections of one relay share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tunnelkeeper.clock import SystemClock
from tunnelkeeper.core.budget import Budget
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
from tunnelkeeper.relay.refusal_log import RefusalLog
from tunnelkeeper.relay.registry import Registry
from tunnelkeeper.relay.revoked_keys import RevokedKeysFile
from tunnelkeeper.ssh.fastpath.receive_scheduler import Flows

if TYPE_CHECKING:
    from tunnelkeeper.clock import Clock
    from tunnelkeeper.net.descriptor_pool import DescriptorPool
    from tunnelkeeper.relay.authorized_keys_store import AuthorizedKeysStore
    from tunnelkeeper.relay.config import RelayConfiguration


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
