"""Finds the tunnels whose hosts a reload has changed, though their own tables are unchanged.

It reads ssh_config and reconnects them. It does not read the config file.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tunnelkeeper.control.api import NoSuchTunnelError
from tunnelkeeper.core.config_diff import HostSettingsChanged
from tunnelkeeper.core.states import session_count
from tunnelkeeper.core.text import RECORD_LIMIT, printable
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.sshconfig import SshConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tunnelkeeper.core.configuration import Tunnel
    from tunnelkeeper.daemon.tunnel_registry import TunnelRegistry
    from tunnelkeeper.tunnel.context import TunnelContext


async def reconnect_moved(
    tunnels: Iterable[Tunnel], registry: TunnelRegistry, context: TunnelContext
) -> list[HostSettingsChanged]:
    """Reconnect the tunnels whose sessions use other hosts than the configuration gives now."""
    found = await asyncio.gather(
        *(_reconnect_if_moved(each, registry, context) for each in tunnels)
    )
    return [change for change in found if change is not None]


async def _reconnect_if_moved(
    tunnel: Tunnel, registry: TunnelRegistry, context: TunnelContext
) -> HostSettingsChanged | None:
    if not _hosts_in_use(tunnel.name, registry):
        return None
    resolved = await _resolve_or_warn(tunnel, context)
    if resolved is None or _hosts_in_use(tunnel.name, registry) in {(), resolved}:
        return None
    change = HostSettingsChanged(tunnel)
    registry.reconnect(change)
    return change


def _hosts_in_use(name: str, registry: TunnelRegistry) -> tuple[object, ...]:
    try:
        runner = registry.runner(name)
    except NoSuchTunnelError:
        return ()
    return runner.host_chain if session_count(runner.state) else ()


async def _resolve_or_warn(tunnel: Tunnel, context: TunnelContext) -> tuple[object, ...] | None:
    try:
        return await context.host_resolver.resolve(tunnel)
    except (SshConfigError, OSError) as error:  # OSError: ssh cannot be started now
        # Keep the current connection. The next attempt to connect reports the failure.
        text = error.message if isinstance(error, SshConfigError) else os_error_text(error)
        context.event_log.write(
            "warning", tunnel.name, f"ssh_config: {printable(text, RECORD_LIMIT)}"
        )
        return None
