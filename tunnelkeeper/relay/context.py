"""State that all connections of one relay share. It has no behaviour of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.relay.penalties import Penalties
from tunnelkeeper.relay.refusal_log import RefusalLog
from tunnelkeeper.relay.registry import Registry
from tunnelkeeper.ssh.fastpath.receive_window import WindowBudget

if TYPE_CHECKING:
    from tunnelkeeper.relay.authorized_keys_store import AuthorizedKeysStore
    from tunnelkeeper.relay.config import RelayConfiguration


@dataclass(slots=True)
class RelayContext:
    """Shared state of a relay. A reload replaces configuration and authorized_keys."""

    configuration: RelayConfiguration
    authorized_keys: AuthorizedKeysStore
    registry: Registry = field(default_factory=Registry)
    refusals: RefusalLog = field(default_factory=RefusalLog)
    penalties: Penalties = field(default_factory=Penalties)
    windows: WindowBudget = field(default_factory=WindowBudget)
