"""All forwards of one tunnel: created, bound while the tunnel is wanted, changed by a reload.

The runner decides when to bind; each forward knows how to listen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.forward_spec import LocalForward, SocksForward
from tunnelkeeper.core.ssh_values import SocketFileRules
from tunnelkeeper.forwarding.gate import STOPPED, Gate
from tunnelkeeper.tunnel.forward import ForwardContext
from tunnelkeeper.tunnel.forward_expansion import (
    ExpandedForward,
    expand_forwards,
    literal_forwards,
)
from tunnelkeeper.tunnel.local_forward import RunningLocalForward
from tunnelkeeper.tunnel.remote_forward import RunningRemoteForward

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tunnelkeeper.core.configuration import Tunnel
    from tunnelkeeper.core.failures import Failure
    from tunnelkeeper.core.forward_spec import Forward
    from tunnelkeeper.core.token_expansion import Tokens
    from tunnelkeeper.tunnel.context import TunnelContext
    from tunnelkeeper.tunnel.session import Session

AnyRunningForward = RunningLocalForward | RunningRemoteForward


class ForwardSet:
    """The forwards in the order of the config file, and the gate that their clients pass.

    `all` is empty until `create` is called. on_change is called when the state of a forward
    changes, on_unhealthy when failed checks of a forward ask for a new connection.
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
        self._host_tokens: Tokens = {}
        self._socket_file_rules = SocketFileRules()
        self._tasks: asyncio.TaskGroup

    def create(self, tunnel: Tunnel, tasks: asyncio.TaskGroup) -> None:
        """Create the configured forwards without listening. tasks owns everything they start."""
        self._tasks = tasks
        self.all = [self._create(expanded, tunnel) for expanded in self._expand(tunnel)]

    def set_socket_file_rules(self, rules: SocketFileRules) -> None:
        """Set how socket files are created. Before the lookup of the host they are private."""
        self._socket_file_rules = rules
        for local in self.local_forwards:
            local.set_socket_file_rules(rules)

    @property
    def remote_forwards(self) -> list[RunningRemoteForward]:
        """The forwards that listen on the server."""
        return [forward for forward in self.all if isinstance(forward, RunningRemoteForward)]

    @property
    def local_forwards(self) -> list[RunningLocalForward]:
        """The forwards that listen on this machine."""
        return [forward for forward in self.all if isinstance(forward, RunningLocalForward)]

    @property
    def first_failure(self) -> Failure | None:
        """The first failure of a forward or its check: the reason for a degraded tunnel."""
        return next(
            (f.current_failure.failure for f in self.all if f.current_failure is not None), None
        )

    @property
    def first_listen_failure(self) -> Failure | None:
        """The first failure to listen. Failed checks do not count."""
        return next((f.last_failure.failure for f in self.all if f.last_failure is not None), None)

    async def bind(self) -> None:
        """Bind the local forwards."""
        for forward in self.local_forwards:
            await forward.open()

    def unbind(self) -> None:
        """Close the local listeners and stop all checks."""
        for local in self.local_forwards:
            local.close()
        for forward in self.all:
            forward.stop_checking()

    def check_now(self) -> None:
        """Run all health checks on a new connection."""
        for forward in self.all:
            if forward.check is not None:
                forward.check.check_now()

    @property
    def has_checks(self) -> bool:
        """Whether any forward has a health check."""
        return any(forward.check is not None for forward in self.all)

    async def wait_for_first_checks(self) -> None:
        """Wait for the first result of every check on the current connection."""
        for forward in tuple(self.all):
            if forward.check is not None:
                await forward.check.wait_for_first_result()

    async def reconfigure(self, tunnel: Tunnel, session: Session | None, *, bound: bool) -> None:
        """Apply a new configuration or new host tokens. Unchanged forwards are not touched.

        session: The session that new remote forwards belong to. bound: Whether new local forwards
        listen.
        """
        previous = self.all
        unclaimed = {running.expanded: running for running in previous}
        self.all = [
            unclaimed.pop(expanded) if expanded in unclaimed else self._create(expanded, tunnel)
            for expanded in self._expand(tunnel)
        ]
        # Close removed forwards first: a new forward may use the port of one of them.
        for removed in unclaimed.values():
            removed.stop_checking()
            if isinstance(removed, RunningRemoteForward):
                await removed.close()
            else:
                removed.close()
        for forward in self.local_forwards:
            forward.clients.hold_timeout = tunnel.hold_timeout
        for kept in self.all:
            kept.set_check(tunnel.checks.get(kept.expanded.configured))
        # Attach remote forwards before binding local ones, which awaits: a session that connects
        # meanwhile must have them already.
        for remote in self.remote_forwards:
            if remote not in previous and session is not None:
                session.attach_remote_forward(remote, self._tasks)
        for local in self.local_forwards:
            if local not in previous and bound:
                await local.open()

    def set_host_tokens(self, tunnel: Tunnel, tokens: Tokens) -> bool:
        """Set the tokens of the tunnel's host. Return whether `reconfigure` is necessary."""
        self._host_tokens = tokens
        return [running.expanded for running in self.all] != self._expand(tunnel)

    def _expand(self, tunnel: Tunnel) -> list[ExpandedForward]:
        facts = self._context.facts
        if facts is None:
            return literal_forwards(tunnel)
        return expand_forwards(tunnel, facts, self._host_tokens)

    def _create(self, expanded: ExpandedForward, tunnel: Tunnel) -> AnyRunningForward:
        context = ForwardContext(
            self._name,
            self._context.ssh_context.descriptors,
            self.gate,
            self._tasks,
            self._context.clock,
            self._on_change,
            self._log_refused_client,
            self._on_checks_failed,
        )
        new: AnyRunningForward
        forward = expanded.forward
        if isinstance(forward, LocalForward | SocksForward):
            new = RunningLocalForward(forward, expanded, tunnel, context)
            new.set_socket_file_rules(self._socket_file_rules)
        else:
            new = RunningRemoteForward(forward, expanded, context)
        new.set_check(tunnel.checks.get(expanded.configured))
        return new

    def _on_checks_failed(self, forward: Forward, failed: int) -> None:
        message = f"{forward}: {failed} checks in a row failed; replacing the connection"
        self._context.event_log.write("warning", self._name, message)
        self._on_unhealthy()

    def _log_refused_client(self, forward: Forward, reason: str) -> None:
        message = f"{forward}: {reason}"
        self._context.event_log.write_throttled("warning", self._name, message, str(forward))
