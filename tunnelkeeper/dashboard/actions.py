"""What can be done from the dashboard, as values; pure. What carries them out is elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Method = Literal["start", "stop", "restart"]


@dataclass(frozen=True, slots=True)
class TunnelAction:
    """Ask the supervisor to start, stop or restart tunnels. words: what that is to the person.

    graceful, of a restart: connect anew first, and let open transfers finish.
    """

    method: Method
    names: tuple[str, ...]
    words: str
    graceful: bool = False


@dataclass(frozen=True, slots=True)
class Reload:
    """Have the config file read again."""


@dataclass(frozen=True, slots=True)
class StartSupervisor:
    """Start one in the background."""


@dataclass(frozen=True, slots=True)
class FetchLog:
    """Fetch a tunnel's own log."""

    name: str


@dataclass(frozen=True, slots=True)
class Quit:
    """Leave; the supervisor goes on."""


Action = TunnelAction | Reload | StartSupervisor | FetchLog | Quit
