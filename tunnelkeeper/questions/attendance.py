"""Which clients have a person who answers the questions of which tunnels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable


@dataclass(slots=True)
class Attendance:
    """The clients with a person, and the tunnels that each one attends."""

    _tunnels: dict[Hashable, frozenset[str] | None] = field(default_factory=dict)

    def add(self, client: Hashable, tunnels: Iterable[str] | None) -> None:
        """Let a client attend these tunnels and no others; None: all."""
        self._tunnels[client] = None if tunnels is None else frozenset(tunnels)

    def remove(self, client: Hashable) -> None:
        """Forget a client that has gone."""
        self._tunnels.pop(client, None)

    def attends(self, client: Hashable, tunnels: Iterable[str]) -> bool:
        """Return whether a client attends one of these tunnels."""
        attended = self._tunnels.get(client, frozenset())
        return attended is None or not attended.isdisjoint(tunnels)

    def of(self, tunnels: Iterable[str]) -> set[Hashable]:
        """Return the clients that attend one of these tunnels."""
        names = set(tunnels)
        return {client for client in self._tunnels if self.attends(client, names)}
