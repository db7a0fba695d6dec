"""A connection that only learns a server's host key: it ends when the key is verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncssh
from asyncssh.constants import DISC_BY_APPLICATION

from tunnelkeeper.core.questions import HostKeyDetails
from tunnelkeeper.ssh.auth.host_key_question import art_of
from tunnelkeeper.ssh.auth.known_hosts import fingerprint
from tunnelkeeper.ssh.connect import ConnectAttempt

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tunnelkeeper.ssh.connection import Connection


class HostKeyProbe(ConnectAttempt):
    """An attempt that succeeds when the host key is known and verified. Nothing logs in."""

    def _before_login(self) -> Awaitable[None]:
        return self._end()

    async def _end(self) -> None:
        if self.verifier.has_new_keys:
            await self._save_host_key()
        self.logged_in.set_result(None)
        raise asyncssh.DisconnectError(DISC_BY_APPLICATION, "only the host key was wanted")


def shown_key(connection: Connection) -> HostKeyDetails:
    """Return the key that the server of a connection has shown."""
    key = connection.transport.get_server_host_key()
    assert key is not None  # noqa: S101  there is no key exchange by GSSAPI
    algorithm = key.algorithm.decode("ascii")
    return HostKeyDetails(
        algorithm,
        fingerprint(key.public_data),
        art_of(key.public_data, algorithm),
        (*connection.host.user_known_hosts, *connection.host.system_known_hosts),
    )
