"""MaxStartups of sshd_config(5). It has no clock and draws no random number."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tunnelkeeper.core.text import printable

_MAX_STARTUPS = re.compile(r"(\d{1,6})(?::(\d{1,6}):(\d{1,6}))?", re.ASCII)


class LimitError(ValueError):
    """Raised for a value that sshd_config(5) does not allow; the text names what is expected."""


@dataclass(frozen=True, slots=True)
class MaxStartups:
    """Random early drop of connections that have not logged in.

    From `begin` connections on, `rate` percent of new ones are refused. The rate rises linearly to
    100 percent at `full`. full = 0: no limit.
    """

    begin: int = 10
    rate: int = 30
    full: int = 100

    def __str__(self) -> str:
        return f"{self.begin}:{self.rate}:{self.full}"

    @classmethod
    def parse(cls, text: str) -> MaxStartups:
        """Parse begin:rate:full, or a single number, which is a hard limit; 0: no limit.

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
            raise LimitError(f"expected a rate from 1 to 100 percent, got {limit.rate}")
        if limit.begin > limit.full:
            raise LimitError(f"begin ({limit.begin}) is more than full ({limit.full})")
        return limit

    def refuses(self, unauthenticated: int, chance: float) -> bool:
        """Return whether to drop a new connection (should_drop_connection() in OpenSSH's sshd.c).

        unauthenticated: the number of other unauthenticated connections. chance: a random number,
        0 <= chance < 1.
        """
        if self.full == 0 or unauthenticated < self.begin:
            return False
        if unauthenticated >= self.full:
            return True
        beyond = (100 - self.rate) * (unauthenticated - self.begin)
        return chance * 100 < self.rate + beyond // (self.full - self.begin)
