"""What the runners of one supervisor share. It holds, and does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.daemon.clock import Clock
    from tunnelkeeper.daemon.journal import Journal
    from tunnelkeeper.daemon.session import WayFinder
    from tunnelkeeper.ssh.chain import Jumps


@dataclass(slots=True)
class Services:
    """What all runners of a supervisor share. A reload replaces the finder.

    on_change and on_up are told a tunnel's name.
    """

    finder: WayFinder
    jumps: Jumps
    journal: Journal
    clock: Clock
    on_change: Callable[[str], None]
    on_up: Callable[[str], None]
