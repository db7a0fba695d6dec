"""Log of refusals: counts and the most recent ones. It refuses nothing itself."""

from __future__ import annotations

import logging
from collections import Counter, deque
from enum import StrEnum

from tunnelkeeper.clock import iso_now
from tunnelkeeper.core.relay_snapshot import RefusalSnapshot, RefusalsSnapshot
from tunnelkeeper.core.text import printable

RECENT = 50

log = logging.getLogger(__name__)


class RefusalKind(StrEnum):
    """The kind of request that was refused."""

    CONNECTION = "connection"
    LOGIN = "login"
    LISTEN = "listen"
    OPEN = "open"


class RefusalLog:
    """The refusals since the relay started."""

    def __init__(self) -> None:
        self._is_counted: Counter[RefusalKind] = Counter()
        self._recent: deque[RefusalSnapshot] = deque(maxlen=RECENT)

    def record(self, kind: RefusalKind, address: str, user: str, reason: str) -> None:
        """Count and log a refusal. user and reason may contain text of the client."""
        self._is_counted[kind] += 1
        user, reason = printable(user, 64), printable(reason)
        self._recent.append(RefusalSnapshot(iso_now(), kind.value, address, user, reason))
        log.info("%s%s: %s refused: %s", f"{user}@" if user else "", address, kind, reason)

    def snapshot(self) -> RefusalsSnapshot:
        """Return the refusals for `relay status`."""
        return RefusalsSnapshot(
            connections=self._is_counted[RefusalKind.CONNECTION],
            logins=self._is_counted[RefusalKind.LOGIN],
            listens=self._is_counted[RefusalKind.LISTEN],
            opens=self._is_counted[RefusalKind.OPEN],
            recent=list(self._recent),
        )
