"""An adaptive limit of concurrent handshakes with one server. It keeps no queue and no time.

A server does not announce its limit (MaxStartups of sshd_config(5), or a firewall). So this works
like TCP congestion control: the limit grows by one after a series of successes and is halved when
the server rejects a connection (RFC 5681 section 3.1).
"""

from __future__ import annotations

from msgspec import Struct

MAX_LIMIT = 6
"""Concurrent handshakes with a server that rejects none. By default sshd starts to drop connections
at random once ten are unauthenticated (MaxStartups 10:30:100), and other clients log in as well."""

SUCCESSES_PER_INCREASE = 10
"""Consecutive successes at the limit before it grows. A limit that is too high makes a connection
fail and wait, so it grows slowly."""


class ConcurrencyLimit(Struct, frozen=True):
    """The limit for one server. successes: those counted towards the next increase.

    in_flight: handshakes in progress when one began, itself included.
    """

    limit: int = MAX_LIMIT
    successes: int = 0

    def on_success(self, in_flight: int) -> ConcurrencyLimit:
        """Return the limit after a successful login. Only successes at the limit count."""
        if in_flight < self.limit or self.limit == MAX_LIMIT:
            return self
        if self.successes + 1 < SUCCESSES_PER_INCREASE:
            return ConcurrencyLimit(self.limit, self.successes + 1)
        return ConcurrencyLimit(self.limit + 1)

    def on_rejected(self, in_flight: int) -> ConcurrencyLimit:
        """Return the limit after the server rejected a connection before its login.

        Rejections of concurrent handshakes halve the limit once. A single handshake was not
        rejected because of concurrency.
        """
        halved = in_flight // 2 if in_flight > 1 else MAX_LIMIT
        return ConcurrencyLimit(min(self.limit, halved))
