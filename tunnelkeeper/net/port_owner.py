"""Who listens on this machine's TCP ports, as far as the system tells us.

To find out means to read the descriptors of every process. A file of tunnels that are still held
by what they replace has hundreds of busy ports, each tried again every second; so they share one
look, which is good for a while.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

import psutil

from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD_FOR = 10.0
"""Seconds in which a look is not repeated for a port that it has seen."""

AT_LEAST = 1.0
"""Seconds between two looks, whatever is asked for."""


@dataclass(slots=True)
class PortOwners:
    """The programs that were seen at the last look, by port. now: tells seconds."""

    now: Callable[[], float] = time.monotonic
    _seen: dict[int, int | None] = field(default_factory=dict)  # process ids, where told
    _looked_at: float = -inf

    def of(self, port: int) -> str:
        """The program that listens on a port, as `name (pid 1)`; empty where it is not told."""
        age = self.now() - self._looked_at
        if age >= GOOD_FOR or (age >= AT_LEAST and port not in self._seen):
            self._look()
        pid = self._seen.get(port)
        with suppress(psutil.Error):
            return f"{printable(psutil.Process(pid).name())} (pid {pid})" if pid else ""
        return ""

    def _look(self) -> None:
        self._seen = {}
        with suppress(psutil.Error, OSError):
            for connection in psutil.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr:
                    port = connection.laddr[1]
                    self._seen[port] = connection.pid or self._seen.get(port)
        self._looked_at = self.now()


PORT_OWNERS = PortOwners()
"""This process's knowledge: there is one machine."""
