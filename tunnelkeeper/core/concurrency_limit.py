"""How many may be on their way into one server at once, learnt from whom it turned away.

A server says nowhere how many strangers it bears (MaxStartups of sshd_config(5), or a firewall), so
this goes by what TCP does about a network that does not say either: one place more after a while
without trouble, half as many at trouble (RFC 5681 section 3.1). It keeps no queue and no time.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_LIMIT = 6
"""Handshakes at once with a server that turns nobody away: sshd drops at random from the tenth on
that has not logged in (MaxStartups 10:30:100), and others want to log in as well."""

SUCCESSES_PER_INCREASE = 10
"""In a row, each in full company. A place too many costs somebody a wait, so it is tried seldom."""


@dataclass(frozen=True, slots=True)
class ConcurrencyLimit:
    """What is known of one server. logins: those towards one place more.

    The company of a handshake is how many there were when it began, itself included.
    """

    limit: int = MAX_LIMIT
    successes: int = 0

    def on_success(self, in_flight: int) -> ConcurrencyLimit:
        """With one that was let in. Less company than is allowed proves nothing for more."""
        if in_flight < self.limit or self.limit == MAX_LIMIT:
            return self
        if self.successes + 1 < SUCCESSES_PER_INCREASE:
            return ConcurrencyLimit(self.limit, self.successes + 1)
        return ConcurrencyLimit(self.limit + 1)

    def on_rejected(self, in_flight: int) -> ConcurrencyLimit:
        """With one that was turned away at the door.

        Of those that came together several may be: one trouble, not one for each. Whoever was
        alone was not turned away for the company.
        """
        bearable = in_flight // 2 if in_flight > 1 else MAX_LIMIT
        return ConcurrencyLimit(min(self.limit, bearable))
