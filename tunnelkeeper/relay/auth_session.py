"""One connection from its acceptance to its end: who logs in, and what the relay learns of it.

Whether a key is good is decided by login; what a client does once it is in is its own affair.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from asyncssh.constants import DISC_TOO_MANY_CONNECTIONS

from tunnelkeeper.core.text import printable
from tunnelkeeper.relay.client_session import ClientSession
from tunnelkeeper.relay.key_auth import Admitted, AuthAttempts, Denied, authorize, parse_key
from tunnelkeeper.relay.penalties import Offence
from tunnelkeeper.relay.refusal_log import RefusalKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.forward_spec import TcpAddress
    from tunnelkeeper.relay.admission import AdmissionControl
    from tunnelkeeper.relay.context import RelayContext
    from tunnelkeeper.relay.transport import ServerTransport

REFUSAL_TAKES = 0.005
"""Seconds from a key to its refusal at least (MIN_FAIL_DELAY_SECONDS of OpenSSH's auth2.c): the
time that looking for a user takes must not tell whether there is one."""

log = logging.getLogger(__name__)


class AuthSession:
    """Answers what a transport asks about its client. transport is set before it is used."""

    transport: ServerTransport

    def __init__(
        self,
        address: TcpAddress,
        shared: RelayContext,
        door: AdmissionControl,
        clients: list[ClientSession],
    ) -> None:
        self.address = address
        self.client: ClientSession | None = None
        self._shared = shared
        self._door = door
        self._clients = clients
        self._limits = shared.configuration.limits
        self._tries = AuthAttempts(self._limits.max_auth_tries)
        self._came = time.monotonic()
        self._user = ""
        self._admitted: Admitted | None = None
        self._is_in = False
        self._denied = "no key was shown"
        self._was_turned_out = False

    # -- door.Stranger -----------------------------------------------------------------------

    @property
    def has_spoken(self) -> bool:
        """See Stranger."""
        return self.transport.has_spoken

    def close(self) -> None:
        """See Stranger."""
        self._was_turned_out = True
        self.transport.abort()

    # -- desk.Visitor ------------------------------------------------------------------------

    def auth_requested(self, user: bytes, method: bytes) -> str | None:
        """See Visitor."""
        self._user = user.decode("utf-8", "backslashreplace")
        return self._tries.request(user, method)

    async def authenticate(self, user: str, key: bytes, proves: Callable[[Any], bool]) -> bool:
        """See Visitor."""
        began = time.monotonic()
        self._admitted = None
        try:
            verdict = self._judge(user, key, proves)
        except Exception:
            log.exception("a fault in a login; please report it")
            verdict = Denied("an internal fault")
        if isinstance(verdict, Admitted):
            self._admitted = verdict
            return True
        self._denied = verdict.reason
        log.debug("%s: %s: %s", self.address, printable(user, 64), verdict.reason)
        await asyncio.sleep(began + REFUSAL_TAKES - time.monotonic())
        return False

    def refused(self) -> None:
        """See Visitor."""
        self._tries.refused()

    def logged_in(self) -> ClientSession | None:
        """See Visitor."""
        self._door.leave(self)
        admitted = self._admitted
        if admitted is None:  # asyncssh let in whom nobody admitted
            self.transport.abort()
            return None
        self._is_in = True
        limit = self._limits.connections_per_key
        others = [one for one in self._clients if one.owner == admitted.owner]
        if limit and len(others) >= limit:
            reason = f"{limit} connections with this key are open"
            self._shared.refusals.note(RefusalKind.LOGIN, self.address.host, admitted.user, reason)
            for other in others:
                other.challenge()  # some may have died unnoticed
            self.transport.disconnect(DISC_TOO_MANY_CONNECTIONS, reason)
            return None
        self.client = ClientSession(self.transport, admitted, self.address, self._shared)
        self._clients.append(self.client)
        line = f"{admitted.line.path}:{admitted.line.number}"
        log.info("%s logged in with %s (%s)", self.client, admitted.key.fingerprint, line)
        return self.client

    def ended(self, error: Exception | None) -> None:
        """See Visitor."""
        self._door.leave(self)
        if self.client is not None:
            self.client.end()
            self._clients.remove(self.client)
            why = f": {printable(str(error))}" if error is not None else ""
            log.info("%s left%s", self.client, why)
        elif not self._is_in and not self._was_turned_out:
            self._hold_against()

    # -- inside ------------------------------------------------------------------------------

    def _judge(self, user: str, key: bytes, proves: Callable[[Any], bool]) -> Admitted | Denied:
        keys = self._shared.accounts.keys_of(user)
        candidate = parse_key(key)
        if candidate is None:
            return Denied("what was shown is no key of a kind that is known here")
        verdict = authorize(candidate, user, keys, self.address.host, datetime.now(UTC))
        if isinstance(verdict, Admitted):
            candidate.key.set_touch_required(verdict.touch_required)
            if not proves(candidate.key):
                return Denied("the signature is not good")
        return verdict

    def _hold_against(self) -> None:
        """Note a connection that came to nothing (as sshd's monitor tells srclimit.c)."""
        grace = self._limits.login_grace
        if grace and time.monotonic() - self._came >= grace:
            offence, reason = Offence.GRACE_EXCEEDED, f"no login within {grace:g} s"
        elif self._tries.failed:
            offence, reason = Offence.AUTHFAIL, f"{self._denied} (tries: {self._tries.failed})"
        else:
            self._door.penalize(self.address, Offence.NOAUTH)
            log.debug("%s left before a login", self.address)
            return
        self._door.penalize(self.address, offence)
        self._shared.refusals.note(RefusalKind.LOGIN, self.address.host, self._user, reason)
