"""What all connections of one relay have in common; it does nothing with any of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.relay.penalties import Penalties
from tunnelkeeper.relay.refusals import Refusals
from tunnelkeeper.relay.registry import Registry
from tunnelkeeper.ssh.window import Windows

if TYPE_CHECKING:
    from tunnelkeeper.relay.accounts import Accounts
    from tunnelkeeper.relay.client import Client
    from tunnelkeeper.relay.config import RelayConfiguration


@dataclass(slots=True)
class Shared:
    """configuration and accounts change with a reload. clients: who is logged in, oldest first."""

    configuration: RelayConfiguration
    accounts: Accounts
    registry: Registry = field(default_factory=Registry)
    refusals: Refusals = field(default_factory=Refusals)
    penalties: Penalties = field(default_factory=Penalties)
    clients: list[Client] = field(default_factory=list)
    windows: Windows = field(default_factory=Windows)
