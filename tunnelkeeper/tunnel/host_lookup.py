"""How hosts are looked up on this machine: by ssh itself, by asyncssh where there is none."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tunnelkeeper.sshconfig import HostLookup, Query, SshQuery, gather_facts, ssh_is_installed

if TYPE_CHECKING:
    from tunnelkeeper.core.configuration import Configuration


def lookup_for(configuration: Configuration) -> HostLookup:
    """The lookup for one reading of the config file."""
    facts = gather_facts()
    query: Query
    if ssh_is_installed():
        query = SshQuery()
    else:
        from tunnelkeeper.ssh.ssh_config_fallback import FallbackQuery

        query = FallbackQuery(facts)
    return HostLookup(configuration, query, facts, time.monotonic)
