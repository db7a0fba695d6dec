"""The end of connections whose key may no longer log in: after a reload, at its expiry, on request.

`key_auth` decides whether a key may still log in. New logins are not its subject.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from math import inf
from typing import TYPE_CHECKING

from asyncssh.constants import DISC_BY_APPLICATION

from tunnelkeeper.core.text import printable
from tunnelkeeper.relay.authorized_keys_store import UnreadableKeysError
from tunnelkeeper.relay.key_auth import Denied, reauthorize, size_problem
from tunnelkeeper.relay.revoked_keys import revocation
from tunnelkeeper.ssh.auth.revoked_keys import RevokedKeys, UnreadableListError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tunnelkeeper.clock import Timer
    from tunnelkeeper.relay.client_session import ClientSession
    from tunnelkeeper.relay.context import RelayContext
    from tunnelkeeper.relay.key_file import KeyFile

MAX_SLEEP = 60.0
"""Seconds until the clock is read again at the latest: it may be set while a timer waits."""

READS_AT_ONCE = 8
"""Users whose keys are read at the same time; fewer than the store reads, so that clients can log
in meanwhile."""

LOST_ACCESS = "this key may no longer be used here"
"""What a client learns when its key was removed, revoked or restricted, or has expired."""

SENTENCES = 20
"""Sentences that a reload reports; more connections are only counted. The log has them all."""

log = logging.getLogger(__name__)


class LiveAccess:
    """The open connections of a relay. clients: its list, which changes as clients come and go."""

    def __init__(self, context: RelayContext, clients: Sequence[ClientSession]) -> None:
        self._context = context
        self._clients = clients
        self._clock = context.clock
        self._timer: Timer | None = None
        self._due_at = inf

    def close(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due_at = inf

    # -- expiry ------------------------------------------------------------------------------

    def watch(self, client: ClientSession) -> None:
        """Disconnect a client that has just logged in when its key expires."""
        if (ends_at := client.admitted.ends_at) is None:
            return
        wait = (ends_at - self._clock.wall()).total_seconds()
        due_at = self._clock.monotonic() + min(MAX_SLEEP, wait)
        if due_at < self._due_at:
            self.close()
            self._due_at = due_at
            self._timer = self._clock.call_at(due_at, self._end_expired)

    def _end_expired(self) -> None:
        """Disconnect the clients whose keys have expired, and watch the others."""
        self.close()
        now = self._clock.wall()
        for client in self._open(lambda each: each.admitted.ends_at is not None):
            ends_at, line = client.admitted.ends_at, client.admitted.line
            if ends_at is not None and ends_at <= now:
                where = f"{printable(line.path, 4096)}:{line.number}"
                _disconnect(client, f"the key expired ({where})", LOST_ACCESS)
            else:
                self.watch(client)

    # -- reload ------------------------------------------------------------------------------

    async def revalidate(self) -> list[str]:
        """Check every client against the current files; return a sentence for each finding.

        A client whose key was removed, revoked or restricted is disconnected. The others get the
        new options of their keys. If a file cannot be read, the clients that depend on it stay: an
        unreadable file lets no one in, and it revokes nothing.
        """
        sentences = []
        revoked = RevokedKeys()
        try:
            revoked = await self._context.revoked_keys.read(
                self._context.configuration.revoked_keys
            )
        except UnreadableListError as error:
            sentences.append(f"no key can log in, because revoked_keys cannot be read: {error}")
        by_user: defaultdict[str, list[ClientSession]] = defaultdict(list)
        for client in self._open(lambda _: True):
            by_user[client.admitted.user].append(client)
        slots = asyncio.Semaphore(READS_AT_ONCE)

        async def check(user: str, clients: list[ClientSession]) -> None:
            async with slots:
                try:
                    keys = await self._context.authorized_keys.read(user)
                except UnreadableKeysError as error:
                    hint = {"hint": error.hint}
                    log.error("cannot read authorized keys: %s", error, extra=hint)  # noqa: TRY400
                    sentences.append(f"the connections of {user} stay: cannot read {error}")
                    return
            sentences.extend(self._recheck(clients, keys, revoked))

        async with asyncio.TaskGroup() as tasks:
            for user, clients in by_user.items():
                tasks.create_task(check(user, clients))
        self._end_expired()
        return shortened(sentences)

    def _recheck(
        self, clients: list[ClientSession], keys: KeyFile, revoked: RevokedKeys
    ) -> list[str]:
        now = self._clock.wall()
        sentences = []
        for client in clients:
            if client.transport.is_closed():
                continue
            verdict = reauthorize(client.admitted, keys, client.address.host, now)
            key = client.admitted.key
            required = self._context.configuration.required_rsa_size
            reason = revocation(revoked, key) or size_problem(key, required)
            if reason is None and isinstance(verdict, Denied):
                reason = verdict.reason
            if reason is not None:
                _disconnect(client, reason, LOST_ACCESS)
                sentences.append(f"disconnected {client}: {reason}")
            elif not isinstance(verdict, Denied):
                client.admitted = verdict
        return sentences

    # -- on request --------------------------------------------------------------------------

    def disconnect(self, matches: Callable[[ClientSession], bool], reason: str) -> list[str]:
        """Disconnect the clients that match; return them as `user@address:port`.

        reason: for the log and for the clients.
        """
        matching = self._open(matches)
        for client in matching:
            _disconnect(client, reason, reason)
        return [str(client) for client in matching]

    def _open(self, matches: Callable[[ClientSession], bool]) -> list[ClientSession]:
        """Return the clients that match and are not being closed already."""
        return [
            client
            for client in self._clients
            if not client.transport.is_closed() and matches(client)
        ]


def shortened(sentences: Sequence[str]) -> list[str]:
    """Return the first sentences of a reload, and how many more there are."""
    if len(sentences) <= SENTENCES:
        return list(sentences)
    more = len(sentences) - SENTENCES
    return [*sentences[:SENTENCES], f"and {more} more, which are in the log"]


def _disconnect(client: ClientSession, reason: str, message: str) -> None:
    """Disconnect a client. reason: for the log. message: for the client."""
    log.info("disconnecting %s: %s", client, reason)
    client.transport.disconnect(DISC_BY_APPLICATION, message)
