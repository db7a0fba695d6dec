"""Tells the service manager that the event loop still turns (sd_watchdog_enabled(3)).

A loop that is stuck does not come round to it, and the manager starts the service anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunnelkeeper.systemd.notify import ServiceManager

Sleep = Callable[[float], Awaitable[None]]
"""Waits so many seconds in the loop that is watched."""


async def ping_watchdog(manager: ServiceManager, sleep: Sleep) -> None:
    """Tell it twice as often as the manager wants to hear it, until cancelled."""
    while manager.watchdog:
        manager.notify("WATCHDOG=1")
        await sleep(manager.watchdog / 2)
