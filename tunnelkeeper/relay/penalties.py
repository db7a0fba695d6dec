"""PerSourcePenalties of sshd_config(5): sources that are refused for some time.

As in OpenSSH's srclimit.c, penalties of a source add up, expire with time, and refuse the source
above a minimum. The table is bounded; when it is full, the penalty that ends first is dropped
(`overflow:permissive`). It has no clock; times are monotonic seconds passed by the caller.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from enum import StrEnum

from tunnelkeeper.relay import addresses


class Offence(StrEnum):
    """An offence of a client, named as in sshd_config(5)."""

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

# PerSourceNetBlockSize is 32:128 by default. One customer gets at least a /64 (RFC 6177), so a
# penalty for a single IPv6 address could be evaded with the next address.
_PREFIX = {4: 32, 6: 64}


@dataclass(slots=True)
class _Penalty:
    """ends: its end. active: whether it has reached MINIMUM, so that the source is refused."""

    ends: float
    active: bool


class Penalties:
    """The current penalties. max_sources: entries per address family.

    A source is an IP address; anything else (a Unix socket has none) is never refused.
    """

    def __init__(self, max_sources: int = MAX_SOURCES) -> None:
        self._tables = {version: _Table(max_sources) for version in _PREFIX}

    def __len__(self) -> int:
        return sum(map(len, self._tables.values()))

    def add(self, source: str, offence: Offence, now: float) -> None:
        """Add the penalty for an offence to a source."""
        if (key := _source_key(source)) is None:
            return
        version, network = key
        self._tables[version].add(network, PENALTY[offence], now)

    def is_refused(self, source: str, now: float) -> bool:
        """Return whether connections from a source must be refused."""
        if (key := _source_key(source)) is None:
            return False
        version, network = key
        return self._tables[version].is_active(network, now)


class _Table:
    """The penalties of one address family, by network."""

    def __init__(self, max_sources: int) -> None:
        self._max_sources = max_sources
        self._penalties: dict[int, _Penalty] = {}
        # A heap of (ends, network); an entry is stale if its penalty has grown since.
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
        """Drop the first heap entry, and its penalty unless the entry is stale."""
        ends, network = heapq.heappop(self._ends)
        penalty = self._penalties.get(network)
        if penalty is not None and penalty.ends == ends:
            del self._penalties[network]


def _source_key(source: str) -> tuple[int, int] | None:
    """Return the address family and network of a source; None if it is not an IP address."""
    try:
        address = addresses.parse(source)
    except ValueError:
        return None
    return address.version, int(address) >> address.max_prefixlen - _PREFIX[address.version]
