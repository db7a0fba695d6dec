"""Which sources are refused for a while: PerSourcePenalties of sshd_config(5).

As OpenSSH's srclimit.c: what a source does wrong adds up, fades with time, and shuts it out once
there is enough of it. The table is bounded; where it is full, what would end soonest is forgotten
(`overflow:permissive`). Nothing here has a clock; times are monotonic seconds handed in.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from enum import StrEnum

from tunnelkeeper.relay import addresses


class Offence(StrEnum):
    """What a client did wrong, in the words of sshd_config(5)."""

    CRASH = "crash"
    AUTHFAIL = "authfail"
    NOAUTH = "noauth"
    INVALIDUSER = "invaliduser"
    GRACE_EXCEEDED = "grace-exceeded"


# The defaults of PerSourcePenalties in sshd_config(5), in seconds.
PENALTY = {
    Offence.CRASH: 90.0,
    Offence.AUTHFAIL: 5.0,
    Offence.NOAUTH: 1.0,
    Offence.INVALIDUSER: 5.0,
    Offence.GRACE_EXCEEDED: 10.0,
}
MAXIMUM = 600.0
MINIMUM = 15.0
MAX_SOURCES = 65536  # of each address family: max-sources4 and max-sources6

# PerSourceNetBlockSize is 32:128 by default. A /64 is what one customer gets (RFC 6177), so
# penalties of single IPv6 addresses would be escaped by taking the next one.
_PREFIX = {4: 32, 6: 64}


@dataclass(slots=True)
class _Penalty:
    """ends: when it is over. active: whether enough came together to refuse the source."""

    ends: float
    active: bool


class Penalties:
    """The sources that did something wrong lately. max_sources: entries of each address family.

    A source is an IP address; anything else (a Unix socket has none) is never refused.
    """

    def __init__(self, max_sources: int = MAX_SOURCES) -> None:
        self._tables = {version: _Table(max_sources) for version in _PREFIX}

    def __len__(self) -> int:
        return sum(map(len, self._tables.values()))

    def add(self, source: str, offence: Offence, now: float) -> None:
        """Add the penalty of an offence to a source's."""
        if (key := _source_key(source)) is None:
            return
        version, network = key
        self._tables[version].add(network, PENALTY[offence], now)

    def is_refused(self, source: str, now: float) -> bool:
        """Whether a connection from a source is to be closed at once."""
        if (key := _source_key(source)) is None:
            return False
        version, network = key
        return self._tables[version].is_active(network, now)


class _Table:
    """The penalties of one address family, by network."""

    def __init__(self, max_sources: int) -> None:
        self._max_sources = max_sources
        self._penalties: dict[int, _Penalty] = {}
        # (ends, network), soonest first; out of date where a penalty has grown since.
        self._ends: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._penalties)

    def add(self, network: int, seconds: float, now: float) -> None:
        self._forget_until(now)
        penalty = self._penalties.setdefault(network, _Penalty(now, active=False))
        penalty.ends = min(penalty.ends + seconds, now + MAXIMUM)
        penalty.active = penalty.active or penalty.ends - now > MINIMUM
        heapq.heappush(self._ends, (penalty.ends, network))
        while len(self._penalties) > self._max_sources:
            self._forget_soonest()
        if len(self._ends) > 2 * self._max_sources:
            self._ends = [(penalty.ends, key) for key, penalty in self._penalties.items()]
            heapq.heapify(self._ends)

    def is_active(self, network: int, now: float) -> bool:
        penalty = self._penalties.get(network)
        return penalty is not None and penalty.active and penalty.ends >= now

    def _forget_until(self, now: float) -> None:
        while self._ends and self._ends[0][0] < now:
            self._forget_soonest()

    def _forget_soonest(self) -> None:
        """Drop the first entry of the heap, and the penalty if that is still its end."""
        ends, network = heapq.heappop(self._ends)
        penalty = self._penalties.get(network)
        if penalty is not None and penalty.ends == ends:
            del self._penalties[network]


def _source_key(source: str) -> tuple[int, int] | None:
    """The address family and the network that a source is counted under; None: no address."""
    try:
        address = addresses.parse(source)
    except ValueError:
        return None
    return address.version, int(address) >> address.max_prefixlen - _PREFIX[address.version]
