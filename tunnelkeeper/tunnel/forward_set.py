"""All forwards of a tunnel together: made, bound while it is wanted, changed by a reload.

How one of them listens is its own matter; when, the runner says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.forward_spec import LocalForward, SocksForward
from tunnelkeeper.forwarding.gate import STOPPED, Gate
from tunnelkeeper.tunnel.forward import ForwardContext
from tunnelkeeper.tunnel.local_forward import RunningLocalForward
from tunnelkeeper.tunnel.remote_forward import RunningRemoteForward

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tunnelkeeper.core.configuration import Tunnel
    from tunnelkeeper.core.failures import Failure
    from tunnelkeeper.core.forward_spec import Forward
    from tunnelkeeper.tunnel.context import TunnelContext
    from tunnelkeeper.tunnel.session import Session

AnyRunningForward = RunningLocalForward | RunningRemoteForward


class ForwardSet:
    """The forwards in the order of the config file, and the gate that their clients pass.

    all is empty until `make`. on_change: called when a forward's state changes. on_useless: when
    the checks of one say that the connection should be replaced.
    """

    def __init__(
        self,
        name: str,
        context: TunnelContext,
        on_change: Callable[[], None],
        on_unhealthy: Callable[[], None],
    ) -> None:
        self.all: list[AnyRunningForward] = []
        self.gate = Gate()
        self.gate.open(STOPPED)
        self._name = name
        self._context = context
        self._on_change = on_change
        self._on_unhealthy = on_unhealthy
        self._tasks: asyncio.TaskGroup

    def create(self, tunnel: Tunnel, tasks: asyncio.TaskGroup) -> None:
        """Make what is configured, not yet listening. tasks owns whatever they start."""
        self._tasks = tasks
        self.all = [self._create(forward, tunnel) for forward in tunnel.forwards]

    @property
    def remote_forwards(self) -> list[RunningRemoteForward]:
        """Those that the server listens for."""
        return [forward for forward in self.all if isinstance(forward, RunningRemoteForward)]

    @property
    def local_forwards(self) -> list[RunningLocalForward]:
        """Those that listen here."""
        return [forward for forward in self.all if isinstance(forward, RunningLocalForward)]

    @property
    def first_failure(self) -> Failure | None:
        """Why the tunnel is degraded, if it is."""
        return next(
            (f.current_failure.failure for f in self.all if f.current_failure is not None), None
        )

    @property
    def first_listen_failure(self) -> Failure | None:
        """Why a forward does not listen, if one does not; what its check says does not matter."""
        return next((f.last_failure.failure for f in self.all if f.last_failure is not None), None)

    async def bind(self) -> None:
        """Let the local ones listen."""
        for forward in self.local_forwards:
            await forward.open()

    def unbind(self) -> None:
        """Let the local ones listen no more, and check none."""
        for local in self.local_forwards:
            local.close()
        for forward in self.all:
            forward.stop_checking()

    def check_now(self) -> None:
        """There is a connection: check what is to be checked."""
        for forward in self.all:
            if forward.check is not None:
                forward.check.check_now()

    @property
    def has_checks(self) -> bool:
        """Whether any of them is checked."""
        return any(forward.check is not None for forward in self.all)

    async def wait_for_first_checks(self) -> None:
        """Wait until each check has said what it found on the connection first."""
        for forward in tuple(self.all):
            if forward.check is not None:
                await forward.check.wait_for_first_result()

    async def reconfigure(self, tunnel: Tunnel, session: Session | None, *, bound: bool) -> None:
        """Change to what is configured now; what stays is not touched.

        session: the one that new remote forwards belong to. bound: whether local ones listen.
        """
        known = self.all
        before = {running.forward: running for running in known}
        self.all = [
            before.pop(forward) if forward in before else self._create(forward, tunnel)
            for forward in tunnel.forwards
        ]
        # What is gone goes first: a new forward may want its port.
        for gone in before.values():
            gone.stop_checking()
            if isinstance(gone, RunningRemoteForward):
                await gone.close()
            else:
                gone.close()
        for served in self.local_forwards:
            served.clients.hold_timeout = tunnel.hold_timeout
        for kept in self.all:
            kept.set_check(tunnel.checks.get(kept.forward))
        # Remote ones at once: a session that connects while a local one opens has them already.
        for remote in self.remote_forwards:
            if remote not in known and session is not None:
                session.attach_remote_forward(remote, self._tasks)
        for local in self.local_forwards:
            if local not in known and bound:
                await local.open()

    def _create(self, forward: Forward, tunnel: Tunnel) -> AnyRunningForward:
        around = ForwardContext(
            self.gate,
            self._tasks,
            self._context.clock,
            self._on_change,
            self._log_refused_client,
            self._on_checks_failed,
        )
        new: AnyRunningForward
        if isinstance(forward, LocalForward | SocksForward):
            new = RunningLocalForward(forward, tunnel, around)
        else:
            new = RunningRemoteForward(forward, around)
        new.set_check(tunnel.checks.get(forward))
        return new

    def _on_checks_failed(self, forward: Forward, failed: int) -> None:
        words = f"{forward}: {failed} checks in a row failed; connecting anew, in case that helps"
        self._context.event_log.write("warning", self._name, words)
        self._on_unhealthy()

    def _log_refused_client(self, forward: Forward, reason: str) -> None:
        self._context.event_log.write_throttled("warning", self._name, f"{forward}: {reason}")
