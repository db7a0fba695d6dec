"""The programs that listen on this machine's TCP ports, as far as the system shows them.

To find them, psutil reads the descriptors of every process. When many tunnels wait for busy ports,
each of them asks every second, so all of them share the result of one scan for a while. Nothing is
ever ended or changed here.
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

MAX_AGE = 10.0
"""Seconds for which a scan is reused for a port that it found."""

MIN_INTERVAL = 1.0
"""Seconds between two scans, even for a port that the last one did not find."""


@dataclass(slots=True)
class PortOwners:
    """The processes found by the last scan, by port. now: returns seconds."""

    now: Callable[[], float] = time.monotonic
    _pid_of: dict[int, int | None] = field(default_factory=dict)  # None: the system hides the pid
    _scanned_at: float = -inf

    def owner_of(self, port: int) -> str:
        """Return the program that listens on a port as `name (pid 1)`; empty if it is unknown."""
        age = self.now() - self._scanned_at
        if age >= MAX_AGE or (age >= MIN_INTERVAL and port not in self._pid_of):
            self._scan()
        pid = self._pid_of.get(port)
        with suppress(psutil.Error):
            return f"{printable(psutil.Process(pid).name())} (pid {pid})" if pid else ""
        return ""

    def _scan(self) -> None:
        self._pid_of = {}
        with suppress(psutil.Error, OSError):
            for connection in psutil.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr:
                    port = connection.laddr[1]
                    self._pid_of[port] = connection.pid or self._pid_of.get(port)
        self._scanned_at = self.now()


PORT_OWNERS = PortOwners()
"""The instance that all listeners share."""
