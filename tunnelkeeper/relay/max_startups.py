"""How many strangers may knock at once: MaxStartups of sshd_config(5), and no clock or dice."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tunnelkeeper.core.text import printable

_MAX_STARTUPS = re.compile(r"(\d{1,6})(?::(\d{1,6}):(\d{1,6}))?", re.ASCII)


class LimitError(ValueError):
    """A limit was not written as sshd_config(5) writes it; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class MaxStartups:
    """Random early drop of connections that have not logged in.

    From `begin` of them on, `rate` per cent of new ones are refused, more with each further one,
    and from `full` on all. full = 0: no limit.
    """

    begin: int = 10
    rate: int = 30
    full: int = 100

    def __str__(self) -> str:
        return f"{self.begin}:{self.rate}:{self.full}"

    @classmethod
    def parse(cls, text: str) -> MaxStartups:
        """Read begin:rate:full, or a number alone, from which on all are refused; 0: no limit.

        Raises LimitError.
        """
        match = _MAX_STARTUPS.fullmatch(text)
        if match is None:
            shown = printable(text, 40)
            raise LimitError(f"expected begin:rate:full such as 10:30:100, got '{shown}'")
        if match[2] is None:
            return cls(int(match[1]), 100, int(match[1]))
        limit = cls(*map(int, match.groups()))
        if not 1 <= limit.rate <= 100:
            raise LimitError(f"expected a rate from 1 to 100 per cent, got {limit.rate}")
        if limit.begin > limit.full:
            raise LimitError(f"begin ({limit.begin}) is more than full ({limit.full})")
        return limit

    def refuses(self, unauthenticated: int, chance: float) -> bool:
        """Whether to drop a new connection (should_drop_connection() of OpenSSH's sshd.c).

        unauthenticated: connections that have not logged in, without this one. chance: a random
        number, 0 <= chance < 1.
        """
        if self.full == 0 or unauthenticated < self.begin:
            return False
        if unauthenticated >= self.full:
            return True
        beyond = (100 - self.rate) * (unauthenticated - self.begin)
        return chance * 100 < self.rate + beyond // (self.full - self.begin)
