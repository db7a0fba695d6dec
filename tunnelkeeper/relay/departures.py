"""What clients listened on until they left, so that others can read when a box was last seen.

Bounded, whatever clients do: the oldest are dropped, and a key that listens on many things in turn
drops its own first. It lives as long as the relay process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.presentation.formatting import format_last_seen

if TYPE_CHECKING:
    from datetime import datetime

    from tunnelkeeper.core.relay_snapshot import DepartureSnapshot
    from tunnelkeeper.relay.registry import BindTarget

MAX_DEPARTURES = 1000
MAX_PER_KEY = 64  # the default of listeners_per_connection


@dataclass(frozen=True, slots=True)
class Departure:
    """The end of a listener. identity: user and key of the client."""

    identity: tuple[str, bytes]
    snapshot: DepartureSnapshot


class Departures:
    """The last departure from each target."""

    def __init__(self) -> None:
        self._by_target: dict[BindTarget, Departure] = {}  # oldest first

    def record(
        self, target: BindTarget, identity: tuple[str, bytes], snapshot: DepartureSnapshot
    ) -> None:
        """Record that a client no longer listens on a target. identity: its user and key."""
        self.forget(target)
        same_key = [
            known for known, earlier in self._by_target.items() if earlier.identity == identity
        ]
        if len(same_key) >= MAX_PER_KEY:
            self.forget(same_key[0])
        elif len(self._by_target) >= MAX_DEPARTURES:
            self.forget(next(iter(self._by_target)))
        self._by_target[target] = Departure(identity, snapshot)

    def forget(self, target: BindTarget) -> None:
        """Drop a target that a client listens on again."""
        self._by_target.pop(target, None)

    def describe(self, target: BindTarget, now: datetime) -> str:
        """Return when a client last listened on a target; empty if that is not known."""
        departure = self._by_target.get(target)
        return "" if departure is None else format_last_seen(departure.snapshot.left_at, now)

    def snapshot(self) -> list[DepartureSnapshot]:
        """Return all departures, oldest first."""
        return [departure.snapshot for departure in self._by_target.values()]
