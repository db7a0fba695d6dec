"""How many may be on their way into one server at once, learnt from whom it turned away.

A server says nowhere how many strangers it bears (MaxStartups of sshd_config(5), or a firewall), so
this goes by what TCP does about a network that does not say either: one place more after a while
without trouble, half as many at trouble (RFC 5681 section 3.1). It keeps no queue and no time.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST = 6
"""Handshakes at once with a server that turns nobody away: sshd drops at random from the tenth on
that has not logged in (MaxStartups 10:30:100), and others want to log in as well."""

LOGINS_FOR_ONE_MORE = 10
"""In a row, each in full company. A place too many costs somebody a wait, so it is tried seldom."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is known of one server. logins: those towards one place more.

    The company of a handshake is how many there were when it began, itself included.
    """

    at_once: int = MOST
    logins: int = 0

    def after_login(self, company: int) -> Allowance:
        """With one that was let in. Less company than is allowed proves nothing for more."""
        if company < self.at_once or self.at_once == MOST:
            return self
        if self.logins + 1 < LOGINS_FOR_ONE_MORE:
            return Allowance(self.at_once, self.logins + 1)
        return Allowance(self.at_once + 1)

    def after_rejection(self, company: int) -> Allowance:
        """With one that was turned away at the door.

        Of those that came together several may be: one trouble, not one for each. Whoever was
        alone was not turned away for the company.
        """
        bearable = company // 2 if company > 1 else MOST
        return Allowance(min(self.at_once, bearable))
