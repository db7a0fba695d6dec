"""Keeps a connection in use whose server closes unused ones (core.unused_timeout).

It opens what the forwards of the tunnel open anyway: a connection to the target of a local forward,
or one to the server's port of a remote forward, which comes back here. It starts no program on the
server: a session that runs nothing does not count as use, and a key may have a forced command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.forward_spec import RemoteSocksForward, SocksForward
from tunnelkeeper.core.health_checks import Check
from tunnelkeeper.core.probes import TcpProbe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tunnelkeeper.clock import Clock
    from tunnelkeeper.ssh.connection import Connection
    from tunnelkeeper.tunnel.forward import RunningForward

USE = Check(TcpProbe())


async def keep_in_use(
    connection: Connection,
    interval: float,
    forwards: Callable[[], Sequence[RunningForward]],
    clock: Clock,
    log: Callable[[str], None],
) -> None:
    """Use a connection whenever it has had no channel for a while, until it is closed.

    interval: that while, in seconds. forwards: returns those of the tunnel. log: called once if
    none of them can be used.
    """
    has_complained = False
    while not connection.is_closed:
        unused = connection.unused_seconds
        if unused is not None and unused >= interval:
            if not await _use(connection, forwards()) and not has_complained:
                has_complained = True
                log(
                    f"{connection.host} will close the connection: it has no forward with a target"
                    " that answers"
                )
            unused = 0.0
        await clock.sleep(interval - (unused or 0.0))


async def _use(connection: Connection, forwards: Sequence[RunningForward]) -> bool:
    """Open a channel for a moment. Return whether one could be opened."""
    for forward in forwards:
        if forward.check is not None and forward.check.check_soon():
            return True
        if forward.state != "listening" or isinstance(
            forward.forward, SocksForward | RemoteSocksForward
        ):
            continue
        if await forward.probe(connection, USE) is None:
            return True
    return False
