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

MIN_FAIL_DELAY = 0.005
"""Seconds from a key to its refusal at least (MIN_FAIL_DELAY_SECONDS of OpenSSH's auth2.c): the
time that looking for a user takes must not tell whether there is one."""

log = logging.getLogger(__name__)


class AuthSession:
    """Answers what a transport asks about its client. transport is set before it is used."""

    transport: ServerTransport

    def __init__(
        self,
        address: TcpAddress,
        context: RelayContext,
        admission: AdmissionControl,
        clients: list[ClientSession],
    ) -> None:
        self.address = address
        self.client: ClientSession | None = None
        self._context = context
        self._admission = admission
        self._clients = clients
        self._limits = context.configuration.limits
        self._attempts = AuthAttempts(self._limits.max_auth_tries)
        self._connected_at = time.monotonic()
        self._user = ""
        self._admitted: Admitted | None = None
        self._is_authenticated = False
        self._denial_reason = "no key was shown"
        self._is_evicted = False

    # -- door.Stranger -----------------------------------------------------------------------

    @property
    def has_sent_banner(self) -> bool:
        """See Stranger."""
        return self.transport.has_sent_banner

    def close(self) -> None:
        """See Stranger."""
        self._is_evicted = True
        self.transport.abort()

    # -- desk.Visitor ------------------------------------------------------------------------

    def auth_requested(self, user: bytes, method: bytes) -> str | None:
        """See Visitor."""
        self._user = user.decode("utf-8", "backslashreplace")
        return self._attempts.record_request(user, method)

    async def authenticate(
        self, user: str, key: bytes, verify_signature: Callable[[Any], bool]
    ) -> bool:
        """See Visitor."""
        began = time.monotonic()
        self._admitted = None
        try:
            verdict = self._authorize_key(user, key, verify_signature)
        except Exception:
            log.exception("a fault in a login; please report it")
            verdict = Denied("an internal fault")
        if isinstance(verdict, Admitted):
            self._admitted = verdict
            return True
        self._denial_reason = verdict.reason
        log.debug("%s: %s: %s", self.address, printable(user, 64), verdict.reason)
        await asyncio.sleep(began + MIN_FAIL_DELAY - time.monotonic())
        return False

    def auth_failed(self) -> None:
        """See Visitor."""
        self._attempts.record_failure()

    def auth_completed(self) -> ClientSession | None:
        """See Visitor."""
        self._admission.discard(self)
        admitted = self._admitted
        if admitted is None:  # asyncssh let in whom nobody admitted
            self.transport.abort()
            return None
        self._is_authenticated = True
        limit = self._limits.connections_per_key
        others = [one for one in self._clients if one.identity == admitted.identity]
        if limit and len(others) >= limit:
            reason = f"{limit} connections with this key are open"
            self._context.refusals.record(
                RefusalKind.LOGIN, self.address.host, admitted.user, reason
            )
            for other in others:
                other.probe_liveness()  # some may have died unnoticed
            self.transport.disconnect(DISC_TOO_MANY_CONNECTIONS, reason)
            return None
        self.client = ClientSession(self.transport, admitted, self.address, self._context)
        self._clients.append(self.client)
        line = f"{admitted.line.path}:{admitted.line.number}"
        log.info("%s logged in with %s (%s)", self.client, admitted.key.fingerprint, line)
        return self.client

    def connection_lost(self, error: Exception | None) -> None:
        """See Visitor."""
        self._admission.discard(self)
        if self.client is not None:
            self.client.connection_lost()
            self._clients.remove(self.client)
            why = f": {printable(str(error))}" if error is not None else ""
            log.info("%s left%s", self.client, why)
        elif not self._is_authenticated and not self._is_evicted:
            self._add_penalty()

    # -- inside ------------------------------------------------------------------------------

    def _authorize_key(
        self, user: str, key: bytes, verify_signature: Callable[[Any], bool]
    ) -> Admitted | Denied:
        keys = self._context.authorized_keys.keys_for(user)
        candidate = parse_key(key)
        if candidate is None:
            return Denied("what was shown is no key of a kind that is known here")
        verdict = authorize(candidate, user, keys, self.address.host, datetime.now(UTC))
        if isinstance(verdict, Admitted):
            candidate.key.set_touch_required(verdict.touch_required)
            if not verify_signature(candidate.key):
                return Denied("the signature is not good")
        return verdict

    def _add_penalty(self) -> None:
        """Note a connection that came to nothing (as sshd's monitor tells srclimit.c)."""
        grace = self._limits.login_grace
        if grace and time.monotonic() - self._connected_at >= grace:
            offence, reason = Offence.GRACE_EXCEEDED, f"no login within {grace:g} s"
        elif self._attempts.failed:
            offence, reason = (
                Offence.AUTHFAIL,
                f"{self._denial_reason} (tries: {self._attempts.failed})",
            )
        else:
            self._admission.penalize(self.address, Offence.NOAUTH)
            log.debug("%s left before a login", self.address)
            return
        self._admission.penalize(self.address, offence)
        self._context.refusals.record(RefusalKind.LOGIN, self.address.host, self._user, reason)
