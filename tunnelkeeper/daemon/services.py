"""What the runners of one supervisor share. It holds, and does nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.daemon.hooks import HOOKS_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.tunnels import Host, Tunnel
    from tunnelkeeper.daemon.clock import Clock
    from tunnelkeeper.daemon.journal import Journal
    from tunnelkeeper.ssh.chain import Jumps


class WayFinder(Protocol):
    """Looks up the hosts of a tunnel, first hop first."""

    async def chain(self, tunnel: Tunnel) -> tuple[Host, ...]:
        """Raises SshConfigError."""


@dataclass(slots=True)
class Services:
    """What all runners of a supervisor share. A reload replaces the finder.

    on_change and on_up are told a tunnel's name. hook_places: bounds the hooks of all of them.
    """

    finder: WayFinder
    jumps: Jumps
    journal: Journal
    clock: Clock
    on_change: Callable[[str], None]
    on_up: Callable[[str], None]
    hook_places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(HOOKS_AT_ONCE))
