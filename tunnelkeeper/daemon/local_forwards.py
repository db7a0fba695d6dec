"""A forward that listens here: bound while its tunnel is wanted, also while it is away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.forwards import LOOPBACK, LocalSide, TcpAddress, target_of
from tunnelkeeper.daemon.forwards import RunningForward, Surroundings
from tunnelkeeper.forwarding.listeners import Listener, ListenFailed, listen
from tunnelkeeper.forwarding.local import LocalClients
from tunnelkeeper.forwarding.probing import check_from_here

if TYPE_CHECKING:
    from tunnelkeeper.core.checks import Check, Failed, Impossible
    from tunnelkeeper.core.forwards import Address
    from tunnelkeeper.core.tunnels import Tunnel
    from tunnelkeeper.forwarding.gate import Opener

LOCAL_RETRY = 1.0
"""Seconds between the tries at a local port that is taken: a bind costs next to nothing."""


class RunningLocal(RunningForward):
    """A forward that listens here, from the tunnel's start to its stop."""

    def __init__(self, forward: LocalSide, tunnel: Tunnel, around: Surroundings) -> None:
        self.clients = LocalClients(
            forward,
            around.gate,
            tunnel.hold_timeout,
            lambda words: around.on_refused(forward, words),
        )
        super().__init__(forward, self.clients.counters, around, self._probe)
        self._listener: Listener | None = None

    @property
    def address_shown(self) -> Address:
        """Where it listens: loopback by its number, which every client takes."""
        match self.forward.listen:
            case TcpAddress(host=host, port=port) if host == LOOPBACK:
                return TcpAddress("127.0.0.1", port)
        return self.forward.listen

    async def open(self) -> None:
        """Listen; where that fails, go on trying in the background."""
        if self._listener is None and self._retry is None and not await self._try():
            self._retry = self._around.tasks.create_task(self._keep_trying())

    def close(self) -> None:
        """Listen no more; connections that are open stay."""
        self._give_up_retrying()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._become("pending")

    async def _probe(self, opener: Opener, check: Check) -> Failed | Impossible | None:
        return await check_from_here(opener, target_of(self.forward), check)

    async def _keep_trying(self) -> None:
        while True:
            await self._around.clock.sleep(LOCAL_RETRY)
            if await self._try():
                self._retry = None
                return

    async def _try(self) -> bool:
        try:
            self._listener = await listen(self.forward.listen, self.clients.accept)
        except ListenFailed as failed:
            self._become("failed", failed.failure)
            return False
        self._become("listening")
        return True
