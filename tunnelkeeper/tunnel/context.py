"""The services that the runners of one supervisor share, and the host lookup among them.

It makes and holds them; it starts no tunnel.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.sshconfig import HostLookup, Query, SshQuery, gather_facts, ssh_is_installed
from tunnelkeeper.tunnel.hook_runner import MAX_CONCURRENT_HOOKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.clock import Clock
    from tunnelkeeper.core.configuration import Configuration, Host, Tunnel
    from tunnelkeeper.ssh.connection_pool import ConnectionPool
    from tunnelkeeper.ssh.context import SshContext
    from tunnelkeeper.tunnel.event_log import EventLog


class HostResolver(Protocol):
    """Looks up the hosts of a tunnel, first hop first."""

    async def chain(self, tunnel: Tunnel) -> tuple[Host, ...]:
        """Raises SshConfigError."""


@dataclass(slots=True)
class TunnelContext:
    """What all runners of a supervisor share. A reload replaces the finder.

    on_change and on_up are told a tunnel's name. hook_places: bounds the hooks of all of them.
    """

    host_resolver: HostResolver
    ssh_context: SshContext
    connection_pool: ConnectionPool
    event_log: EventLog
    clock: Clock
    on_change: Callable[[str], None]
    on_up: Callable[[str], None]
    hook_slots: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(MAX_CONCURRENT_HOOKS)
    )


def lookup_for(configuration: Configuration) -> HostLookup:
    """Return the host lookup for one reading of the config file.

    It asks ssh itself (`ssh -G`), or asyncssh's parser if ssh is not installed.
    """
    facts = gather_facts()
    query: Query
    if ssh_is_installed():
        query = SshQuery()
    else:
        from tunnelkeeper.ssh.ssh_config_fallback import FallbackQuery

        query = FallbackQuery(facts)
    return HostLookup(configuration, query, facts, time.monotonic)
