"""What `relay status` and `relay reload` ask of a running relay over its control socket."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.control.client_connection import ControlConnection
from tunnelkeeper.control.methods import Method, Methods, version
from tunnelkeeper.control.payloads import Changes, Done, NoParams

if TYPE_CHECKING:
    from tunnelkeeper.core.relay_snapshot import RelaySnapshot


class Controlled(Protocol):
    """A relay that is running."""

    def status(self) -> RelaySnapshot:
        """What front ends may know."""

    def reload(self) -> list[str]:
        """Read relay.toml and the authorized keys again; a sentence for each change.

        Raises control.api.BadConfig, and then nothing has changed.
        """

    def shutdown(self) -> None:
        """Begin to end."""


async def _status(relay: Controlled, _params: NoParams) -> RelaySnapshot:
    return relay.status()


async def _reload(relay: Controlled, _params: NoParams) -> Changes:
    return Changes(relay.reload())


async def _shutdown(relay: Controlled, _params: NoParams) -> Done:
    relay.shutdown()
    return Done()


METHODS: Methods = {
    "version": Method(NoParams, version),
    "status": Method(NoParams, _status),
    "reload": Method(NoParams, _reload),
    "shutdown": Method(NoParams, _shutdown),
}

converse = partial(ControlConnection, methods=METHODS)
"""Talks to a client of the control socket."""
