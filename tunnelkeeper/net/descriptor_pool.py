"""The file descriptors of this process, shared by those that cause them to be opened.

A reserve stays free for logins, control connections, child processes and logs. The rest is divided
by `core.shares`. The pool counts; it opens and closes nothing for its users.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.core.shares import Holder, Shares
from tunnelkeeper.net.fd_limits import RESERVE, lowest_free_fd, reserve_of

if TYPE_CHECKING:
    from collections.abc import Callable

GUARANTEED = 8
"""Places that a holder gets although its share is smaller: then the largest holder loses one. With
many greedy holders that came one after the other, nothing would be left for the last one."""

COUNT_INTERVAL = 1.0
"""Seconds between two counts of the open descriptors. In between, only places are counted."""


MARGIN = 512
"""Free places with which no look at the descriptors is necessary, which takes a system call or two:
nothing else opens as many within COUNT_INTERVAL."""


class ShareUsedUpError(OSError):
    """Raised with EMFILE for a holder that may not open another descriptor. The text names it.

    retry_after: seconds after which another attempt makes sense.
    """

    retry_after = 1.0


def soft_limit() -> int:
    """Return the current soft limit of open descriptors."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit if limit != resource.RLIM_INFINITY else sys.maxsize


def count_open() -> int:
    """Return the number of open descriptors of this process, or 0 if the system does not tell."""
    try:
        return len(os.listdir("/dev/fd")) - 1  # noqa: PTH208  one is that of the listing
    except OSError:
        return 0


@dataclass(slots=True)
class DescriptorPool:
    """The descriptors that are taken by holders, and the limit that they share.

    Attributes:
        wanted_reserve: Descriptors to keep in reserve; at most a quarter of the limit.
        limit: Returns the soft limit of the process.
        count: Returns the number of open descriptors, or 0 if it is unknown.
        lowest_free: Returns the lowest free descriptor. Raises OSError if there is none.
        now: Returns monotonic seconds.
    """

    wanted_reserve: int = RESERVE
    limit: Callable[[], int] = soft_limit
    count: Callable[[], int] = count_open
    lowest_free: Callable[[], int] = lowest_free_fd
    now: Callable[[], float] = time.monotonic
    _shares: Shares = field(default_factory=Shares)
    _others: int = 0  # open descriptors that have no place
    _is_counted: bool = False
    _counted_at: float = float("-inf")
    _evictable: dict[Holder, dict[Place, Callable[[], None]]] = field(default_factory=dict)

    @property
    def reserve(self) -> int:
        """The descriptors that holders leave free."""
        return reserve_of(self.wanted_reserve, self.limit())

    @property
    def taken(self) -> int:
        """The number of places that are taken."""
        return self._shares.taken

    @property
    def free(self) -> int:
        """The number of places that can be taken, all holders together."""
        if self.now() - self._counted_at >= COUNT_INTERVAL:
            self._counted_at = self.now()
            counted = self.count()
            self._is_counted = counted > 0
            if self._is_counted:
                self._others = max(0, counted - self.taken)
        return self.limit() - self.reserve - self._others - self.taken

    def held_by(self, holder: Holder) -> int:
        """Return the number of places of a holder."""
        return self._shares.held_by(holder)

    def check(self, *holders: Holder) -> None:
        """Raise ShareUsedUpError unless each of the holders may open another descriptor."""
        free = self.free
        exhausted = self._shares.exhausted(holders, free)
        if exhausted is not None:
            reason = (
                f"{exhausted.name} has used its share of the descriptors"
                if free > 0
                else "only the reserve of descriptors is left"
            )
            raise ShareUsedUpError(errno.EMFILE, f"too many connections are open: {reason}")
        # Descriptors that have no place may have been opened since they were counted.
        if free < MARGIN or not self._is_counted:
            self.check_reserve(self.reserve)

    def make_room(self, *holders: Holder) -> None:
        """Let each of the holders open another descriptor, if necessary at the expense of another.

        Raises ShareUsedUpError.
        """
        try:
            self.check(*holders)
        except ShareUsedUpError:
            if not self._evict_for(holders):
                raise

    def _evict_for(self, holders: tuple[Holder, ...]) -> bool:
        """Evict the newest place of the largest holder if the first of these has hardly any."""
        largest = max(self._evictable, key=self.held_by, default=None)
        if largest is None or not holders or self.held_by(holders[0]) >= GUARANTEED:
            return False
        if self.held_by(largest) <= 2 * GUARANTEED:
            return False
        place, evict = next(reversed(self._evictable[largest].items()))
        place.release()
        evict()
        return True

    def on_evict(self, place: Place, evict: Callable[[], None]) -> None:
        """Let a place of its first holder be evicted until it is released.

        evict: closes its descriptor.
        """
        if place.holders:
            self._evictable.setdefault(place.holders[0], {})[place] = evict
            place.on_release = self._forget

    def _forget(self, place: Place) -> None:
        places = self._evictable[place.holders[0]]
        del places[place]
        if not places:
            del self._evictable[place.holders[0]]

    def check_reserve(self, reserve: int) -> None:
        """Raise ShareUsedUpError if only this number of descriptors is left, or fewer."""
        if self.lowest_free() >= self.limit() - reserve:
            message = "too many connections are open: only the reserve of descriptors is left"
            raise ShareUsedUpError(errno.EMFILE, message)

    def take(self, *holders: Holder) -> Place:
        """Take a place for a descriptor that is about to be opened.

        Raises ShareUsedUpError, and OSError if no descriptor can be opened at all.
        """
        self.make_room(*holders)
        return self.occupy(*holders)

    def occupy(self, *holders: Holder) -> Place:
        """Take a place for a descriptor that is open already, whatever the shares are."""
        return Place(self._shares, holders)


class Place:
    """A place in a pool; it is given back once."""

    __slots__ = ("_shares", "holders", "on_release")

    def __init__(self, shares: Shares, holders: tuple[Holder, ...]) -> None:
        self.holders = holders
        self.on_release: Callable[[Place], None] | None = None
        self._shares: Shares | None = shares
        shares.take(holders)

    def release(self) -> None:
        """Give the place back; do nothing the second time."""
        shares, self._shares = self._shares, None
        if shares is None:
            return
        shares.give_back(self.holders)
        if self.on_release is not None:
            self.on_release(self)


@dataclass(frozen=True, slots=True)
class DescriptorShare:
    """A pool as its holders use it. Without a holder, only the reserve is kept."""

    pool: DescriptorPool = field(default_factory=DescriptorPool)
    holders: tuple[Holder, ...] = ()

    def check(self) -> None:
        """Raise ShareUsedUpError unless another descriptor may be opened."""
        self.pool.check(*self.holders)

    def make_room(self) -> None:
        """Let another descriptor be opened. Raises ShareUsedUpError."""
        self.pool.make_room(*self.holders)

    def take(self) -> Place:
        """Take a place for a descriptor that is about to be opened.

        Raises ShareUsedUpError, and OSError if no descriptor can be opened at all.
        """
        return self.pool.take(*self.holders)

    def occupy(self) -> Place:
        """Take a place for a descriptor that is open already."""
        return self.pool.occupy(*self.holders)
