"""The shares of several holders in a limited resource, such as the descriptors of a process.

A holder may take another unit while it has fewer than are free. One holder alone gets half of them;
with n holders that want everything, each gets one part of n + 1, and as much stays free for the
next one. No holder has to be known before, and nothing is reserved for one that is idle. This is
the dynamic threshold that switches use for shared buffers (Choudhury and Hahne, 1998).

Unlike a limit of `core.budget`, a share follows from what is free now, and a unit may outlive the
connection that took it. This module has no clock, and it opens and closes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable


@dataclass(frozen=True, slots=True)
class Holder:
    """One that holds units. name: for messages, such as "this key". id: what tells it apart."""

    name: str
    id: Hashable


@dataclass(slots=True)
class Shares:
    """The units that are taken, by holder. A unit can have several holders: a key and an address.

    taken: the number of units that are taken.
    """

    taken: int = 0
    _held: dict[Holder, int] = field(default_factory=dict)

    def held_by(self, holder: Holder) -> int:
        """Return the number of units that a holder has."""
        return self._held.get(holder, 0)

    def exhausted(self, holders: Iterable[Holder], free: int) -> Holder | None:
        """Return the first holder that may not take another unit, or None if each of them may.

        free: the units that are not taken.
        """
        return next((each for each in holders if self.held_by(each) >= free), None)

    def take(self, holders: Iterable[Holder]) -> None:
        """Count a unit for each of its holders, whatever their shares are."""
        self.taken += 1
        for holder in holders:
            self._held[holder] = self.held_by(holder) + 1

    def give_back(self, holders: Iterable[Holder]) -> None:
        """Stop counting a unit that was taken with the same holders."""
        self.taken -= 1
        for holder in holders:
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]
