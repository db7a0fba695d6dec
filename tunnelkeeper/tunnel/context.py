"""The services that all runners of one supervisor share. This module starts nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.net.start_limiter import StartLimiter
from tunnelkeeper.sshconfig import (
    HostLookup,
    Query,
    SshQuery,
    TrustedQuery,
    gather_facts,
    obstacle_to_ssh,
)
from tunnelkeeper.tunnel.hook_runner import HOOK_PATIENCE, MAX_STARTING_HOOKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.clock import Clock
    from tunnelkeeper.core.configuration import Configuration, Host, Tunnel
    from tunnelkeeper.ssh.connection_pool import ConnectionPool
    from tunnelkeeper.ssh.context import SshContext
    from tunnelkeeper.sshconfig import Facts
    from tunnelkeeper.tunnel.dependency_watcher import SignatureReader
    from tunnelkeeper.tunnel.event_log import EventLog


class HostResolver(Protocol):
    """Resolves the hosts of a tunnel from the config file and ssh_config."""

    async def resolve(self, tunnel: Tunnel) -> tuple[Host, ...]:
        """Return the hosts of the tunnel, first hop first.

        Raises:
            SshConfigError: ssh_config cannot be evaluated for a host.
        """

    async def config_files(self) -> tuple[str, ...]:
        """Return the files of ssh_config, and the folders in which it looks for more."""

    def forget(self) -> None:
        """Forget earlier answers, because ssh_config has changed."""


@dataclass(slots=True)
class TunnelContext:
    """The services that all runners share. A reload replaces host_resolver.

    on_change and on_up receive the name of a tunnel. hook_limiter limits the hooks of all tunnels
    together. facts: for the tokens in paths of forwards; None if the paths are literal.
    read_signatures: returns the signatures of files.
    """

    host_resolver: HostResolver
    ssh_context: SshContext
    connection_pool: ConnectionPool
    event_log: EventLog
    clock: Clock
    on_change: Callable[[str], None]
    on_up: Callable[[str], None]
    read_signatures: SignatureReader
    hook_limiter: StartLimiter = field(
        default_factory=lambda: StartLimiter(MAX_STARTING_HOOKS, HOOK_PATIENCE)
    )
    facts: Facts | None = None


def lookup_for(configuration: Configuration) -> HostLookup:
    """Return the host lookup for one reading of the config file.

    It asks ssh itself (`ssh -G`), or asyncssh's parser if ssh cannot run.
    """
    facts = gather_facts()
    query: Query
    if obstacle_to_ssh(facts) is None:
        query = SshQuery()
    else:
        from tunnelkeeper.ssh.ssh_config_fallback import FallbackQuery

        query = FallbackQuery(facts)
    return HostLookup(configuration, TrustedQuery(query, facts), facts, time.monotonic)
