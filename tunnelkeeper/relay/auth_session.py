"""One connection from accept to close: its authentication attempts, penalties and client session.

`key_auth` decides whether a key is accepted; `client_session` serves the authenticated client.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from asyncssh.constants import DISC_BY_APPLICATION, DISC_TOO_MANY_CONNECTIONS

from tunnelkeeper.core.text import printable
from tunnelkeeper.net.out_of_memory import end_if_out_of_memory
from tunnelkeeper.relay.authorized_keys_store import UnreadableKeysError
from tunnelkeeper.relay.bounded_login import TooMuchBeforeLoginError
from tunnelkeeper.relay.client_session import ClientSession
from tunnelkeeper.relay.key_auth import (
    NOT_AUTHORIZED,
    Admitted,
    AuthAttempts,
    Denied,
    authorize,
    is_listed,
    parse_key,
    size_problem,
)
from tunnelkeeper.relay.penalties import Offence
from tunnelkeeper.relay.refusal_log import EventKind, RefusalKind
from tunnelkeeper.relay.revoked_keys import UnreadableForNowError
from tunnelkeeper.ssh.errors import describe
from tunnelkeeper.ssh.negotiation import NoCommonAlgorithmError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.forward_spec import TcpAddress
    from tunnelkeeper.relay.admission import AdmissionControl
    from tunnelkeeper.relay.bans import Ban
    from tunnelkeeper.relay.context import RelayContext
    from tunnelkeeper.relay.key_auth import Candidate
    from tunnelkeeper.relay.transport import ServerTransport

NO_KEY = "no key was offered"

MIN_FAIL_DELAY = 0.005
"""Minimum seconds before a key is refused (MIN_FAIL_DELAY_SECONDS in OpenSSH's auth2.c). Without
it, the time of the lookup would reveal whether a user exists."""

SILENT_SECONDS = 5.0
"""Seconds within which an SSH client sends its version. A slower one that is closed for another
connection gets the penalty of a client that disconnects before its login."""

log = logging.getLogger(__name__)


class AuthSession:
    """The AuthHandler of one transport. `transport` must be set before use."""

    transport: ServerTransport

    def __init__(
        self,
        address: TcpAddress,
        context: RelayContext,
        admission: AdmissionControl,
        clients: list[ClientSession],
        on_login: Callable[[ClientSession], None] = lambda _: None,
    ) -> None:
        self.address = address
        self.client: ClientSession | None = None
        self._context = context
        self._place = context.descriptors.occupy()  # until the login: then that of the client
        self._admission = admission
        self._clients = clients
        self._on_login = on_login
        self._keys_store = context.authorized_keys
        self._limits = context.configuration.limits
        self._attempts = AuthAttempts(self._limits.max_auth_tries)
        self._connected_at = time.monotonic()
        self._user = ""
        self._admitted: Admitted | None = None
        self._is_authenticated = False
        self._denial_reason = NO_KEY
        self._is_evicted = False

    # -- admission.UnauthenticatedConnection -------------------------------------------------

    @property
    def has_sent_banner(self) -> bool:
        """Whether the client has sent its version string."""
        return self.transport.has_sent_banner

    def close(self) -> None:
        """Close the connection to make room for another one."""
        self._is_evicted = True
        is_silent = not self.has_sent_banner
        if is_silent and time.monotonic() - self._connected_at >= SILENT_SECONDS:
            self._admission.penalize(self.address, Offence.NOAUTH)
        self.transport.abort()

    # -- interfaces.AuthHandler --------------------------------------------------------------

    def auth_requested(self, user: bytes, method: bytes) -> str | None:
        """Record a USERAUTH_REQUEST; return a reason to disconnect, or None."""
        self._user = user.decode("utf-8", "backslashreplace")
        return self._attempts.record_request(user, method)

    async def authenticate(
        self, user: str, key: bytes, verify_signature: Callable[[Any], bool]
    ) -> bool:
        """Return whether a key is accepted; refuse after MIN_FAIL_DELAY at the earliest."""
        began = time.monotonic()
        self._admitted = None
        try:
            verdict = await self._authorize_key(user, key, verify_signature)
        except (UnreadableKeysError, UnreadableForNowError) as error:
            # The key may be authorized. A refusal would make the client give up.
            log.error("%s: cannot check keys for now: %s", self.address, error)  # noqa: TRY400
            self.close()
            return False
        except Exception:
            end_if_out_of_memory()
            log.exception("authentication failed unexpectedly; please report it")
            verdict = Denied("internal error")
        if isinstance(verdict, Admitted):
            self._admitted = verdict
            return True
        # ssh offers other keys beside the right one, and their reason says less.
        if verdict.reason != NOT_AUTHORIZED or self._denial_reason == NO_KEY:
            self._denial_reason = verdict.reason
        log.debug("%s: %s: %s", self.address, printable(user, 64), verdict.reason)
        await asyncio.sleep(began + MIN_FAIL_DELAY - time.monotonic())
        return False

    def auth_failed(self) -> None:
        """Count the refused request."""
        self._attempts.record_failure()

    def auth_completed(self) -> ClientSession | None:
        """Return the session of the authenticated client, or None if it is disconnected."""
        self._admission.discard(self)
        self._place.release()
        admitted = self._admitted
        if admitted is None:  # asyncssh reports a login that was not authorized here
            self.transport.abort()
            return None
        self._is_authenticated = True
        self.transport.flow = self._context.key_flows.of(admitted.key.blob)
        if self._keys_store is not self._context.authorized_keys or self._ban_of(admitted.key):
            # The reload or ban has ended the open connections, and this one was not among them.
            self.transport.disconnect(
                DISC_BY_APPLICATION, "the permission to log in changed meanwhile; connect again"
            )
            return None
        limit = self._limits.connections_per_key
        others = [
            client for client in self._clients if client.admitted.key.blob == admitted.key.blob
        ]  # by key: one that may log in as any user has the limit once
        if limit and len(others) >= limit:
            reason = f"{limit} connections with this key are open"
            self._context.refusals.record(
                RefusalKind.LOGIN, self.address.host, admitted.user, reason
            )
            for other in others:
                other.probe_liveness()  # some may be dead without having been noticed
            self.transport.disconnect(DISC_TOO_MANY_CONNECTIONS, reason)
            return None
        self.client = ClientSession(self.transport, admitted, self.address, self._context)
        self._clients.append(self.client)
        line = f"{admitted.line.path}:{admitted.line.number}"
        text = f"logged in with {admitted.key.fingerprint} ({line})"
        self.client.log_event(EventKind.LOGIN, text)
        self._on_login(self.client)
        return self.client

    def connection_lost(self, error: Exception | None) -> None:
        """Close the client session, or record why authentication did not complete."""
        self._admission.discard(self)
        self._place.release()
        if self.client is not None:
            self.client.connection_lost()
            self._clients.remove(self.client)
            why = f": {describe(error)}" if error is not None else ""
            self.client.log_event(EventKind.DISCONNECT, f"disconnected{why}")
        elif not self._is_authenticated and not self._is_evicted:
            if isinstance(error, NoCommonAlgorithmError):
                text = f"{self.address}: {error.mismatch.describe('the client')}"
                self._context.refusals.write(EventKind.LOGIN, self.address.host, text)
            self._add_penalty(error)

    # -- inside ------------------------------------------------------------------------------

    async def _authorize_key(
        self, user: str, key: bytes, verify_signature: Callable[[Any], bool]
    ) -> Admitted | Denied:
        self._keys_store = self._context.authorized_keys
        keys = await self._keys_store.keys_for(user)
        if not is_listed(key, keys):
            return Denied(NOT_AUTHORIZED)
        candidate = parse_key(key)
        if candidate is None:
            return Denied("not a public key of a supported type")
        if reason := size_problem(candidate, self._context.configuration.required_rsa_size):
            return Denied(reason)
        now = self._context.clock.wall()
        verdict = authorize(candidate, user, keys, self.address.host, now)
        if isinstance(verdict, Admitted):
            path = self._context.configuration.revoked_keys
            if reason := await self._context.revoked_keys.denial(path, candidate):
                return Denied(reason)
            if ban := self._ban_of(candidate):
                return Denied(f"{ban} is banned")
            candidate.key.set_touch_required(verdict.touch_required)
            if not verify_signature(candidate.key):
                return Denied("the signature is invalid")
        return verdict

    def _ban_of(self, key: Candidate) -> Ban | None:
        host, now = self.address.host, self._context.clock.wall()
        return self._context.bans.refuses(host, key.fingerprints, now)

    def _add_penalty(self, error: Exception | None) -> None:
        """Penalize a connection that ended without a login, as sshd's monitor does."""
        grace = self._limits.login_grace
        if isinstance(error, TooMuchBeforeLoginError):
            offence, reason = Offence.GRACE_EXCEEDED, str(error)
        elif grace and time.monotonic() - self._connected_at >= grace:
            offence, reason = Offence.GRACE_EXCEEDED, f"no login within {grace:g} s"
        elif self._attempts.failed:
            offence, reason = (
                Offence.AUTHFAIL,
                f"{self._denial_reason} (attempts: {self._attempts.failed})",
            )
        else:
            self._admission.penalize(self.address, Offence.NOAUTH)
            log.debug("%s disconnected before authentication", self.address)
            return
        self._admission.penalize(self.address, offence)
        self._context.refusals.record(RefusalKind.LOGIN, self.address.host, self._user, reason)
