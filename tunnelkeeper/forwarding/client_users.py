"""The limit of a local forward to users of this machine (`allow_users`).

A port on the loopback address is open to every user of the machine. The limit asks the system who
connected, before anything is read from the client. A client whose user is unknown is refused.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from tunnelkeeper.forwarding.counted_socket import CountedSocket
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.net.file_trust import describe_user
from tunnelkeeper.net.peer_user import UnknownUserError, user_of_client

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tunnelkeeper.forwarding.pump import SocketEndpoint


@lru_cache(maxsize=256)
def _describe(uid: int) -> str:
    """Return a user's name and id. A lookup blocks, and a refused user may come back at once."""
    return describe_user(uid)


class LimitedClient(CountedSocket):
    """A client that is served if its user is allowed; otherwise its connection is reset.

    Args:
        allow_users: The ids of the users who may connect.
        on_connected: Called with an allowed client.
        on_error: Called with a message for a refused client.
    """

    def __init__(
        self,
        allow_users: tuple[int, ...],
        on_connected: Callable[[SocketEndpoint], None],
        on_error: Callable[[str], None],
    ) -> None:
        super().__init__(self._check)
        self._allow_users = allow_users
        self._on_allowed = on_connected
        self._on_error = on_error
        self._refusal: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask who connected, then serve the client or reset its connection."""
        self._refusal = self._find_refusal(transport)
        super().connection_made(transport)

    def _check(self, client: SocketEndpoint) -> None:
        if self._refusal is None:
            self._on_allowed(client)
        else:
            self._on_error(self._refusal)
            self.abort()

    def _find_refusal(self, transport: asyncio.BaseTransport) -> str | None:
        try:
            uid = user_of_client(transport.get_extra_info("socket"))
        except UnknownUserError as error:
            return f"refused a client: its user is unknown: {error}"
        except OSError as error:
            return f"refused a client: its user is unknown: {os_error_text(error)}"
        if uid in self._allow_users:
            return None
        return f"refused a client of {_describe(uid)}, who is not in allow_users"
