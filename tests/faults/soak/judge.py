"""The invariants of a soak run: from timed observations it names what is not.

It has no clock and looks at nothing itself. Times are monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Life = tuple[str, int]
"""What tells one connection of a tunnel from the next: `since` and `restarts` of its status."""

GAP = 2.0
"""Seconds between two looks at status after which nothing is known of the time between them."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds that are allowed.

    lie: to be called up and carry nothing. peace: to carry nothing for an entry that no fault
    touches. control: for an answer on the control socket.
    """

    lie: float
    peace: float
    control: float


@dataclass(frozen=True, slots=True)
class Excuse:
    """What cannot be asked for during a fault.

    hurt: the entries that may carry nothing. lies: a tunnel may be called up whose new clients are
    not served. silence: the control socket may not answer.
    """

    hurt: frozenset[str] = frozenset()
    lies: bool = False
    silence: bool = False

    def __or__(self, other: Excuse) -> Excuse:
        """Return what cannot be required while both faults last."""
        return Excuse(
            self.hurt | other.hurt, self.lies or other.lies, self.silence or other.silence
        )


@dataclass(slots=True)
class _Claim:
    """That a tunnel is up: on which connection, and between which two looks at status."""

    life: Life
    first: float
    last: float


class Judge:
    """Judges what is seen. entries: the ways into tunnels, each with the name of its tunnel.

    longest_lie: the longest time yet that a tunnel was called up between two answers of a service.
    slowest_answer: the longest that the control socket took. Both without what was excused.
    """

    def __init__(self, entries: Mapping[str, str], bounds: Bounds, now: float) -> None:
        self.bounds = bounds
        self.longest_lie = 0.0
        self.slowest_answer = 0.0
        self._entries = dict(entries)
        self._claims: dict[str, _Claim] = {}
        self._excuse = Excuse()
        self._carried = dict.fromkeys(entries, -inf)
        self._begun = now
        self._answered = now

    def begin(self, now: float, excuse: Excuse | None = None) -> None:
        """Forget the past: from now on, all of this must be so but for the excuse."""
        self._begun = now
        self._excuse = excuse or Excuse()
        self._claims.clear()

    def carried(self, entry: str, now: float) -> None:
        """Record that a service has answered through an entry."""
        self._measure(entry)
        self._carried[entry] = now

    def answered(self, asked: float, now: float) -> None:
        """Record that the control socket has answered."""
        self._answered = now
        if asked >= self._begun and not self._excuse.silence:
            self.slowest_answer = max(self.slowest_answer, now - asked)

    def record_status(self, tunnel: str, state: str, life: Life, now: float) -> None:
        """Record the status of a tunnel."""
        claim = self._claims.get(tunnel)
        if state != "up":
            self._claims.pop(tunnel, None)
        elif claim is None or claim.life != life or now - claim.last > GAP:
            self._claims[tunnel] = _Claim(life, now, now)
        else:
            claim.last = now

    def is_well(self, entry: str, since: float) -> bool:
        """Whether an entry has carried data after a time, and its tunnel is called up."""
        return self._carried[entry] > since and self._entries[entry] in self._claims

    def complaint(self, now: float) -> str:
        """Return a sentence about what is wrong; empty if nothing is."""
        if not self._excuse.silence:
            silent = now - max(self._answered, self._begun)
            if silent > self.bounds.control:
                return f"the control socket has not answered for {silent:.1f} s"
        for entry, tunnel in self._entries.items():
            lie = self._measure(entry)
            if lie > self.bounds.lie and not self._excuse.lies:
                return f"{tunnel} is called up, but {entry} has carried nothing for {lie:.1f} s"
            idle = now - max(self._carried[entry], self._begun)
            if entry not in self._excuse.hurt and idle > self.bounds.peace:
                return f"{entry} has carried nothing for {idle:.1f} s, and no fault touches it"
        return ""

    def _measure(self, entry: str) -> float:
        """For how long the entry's tunnel has been called up since it last carried data."""
        claim = self._claims.get(self._entries[entry])
        if claim is None:
            return 0.0
        lie = claim.last - max(claim.first, self._carried[entry])
        if not self._excuse.lies:
            self.longest_lie = max(self.longest_lie, lie)
        return lie
