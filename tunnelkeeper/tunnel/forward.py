"""The base of all running forwards: state, counters, health check and change notification.

The subclasses in local_forward and remote_forward listen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from tunnelkeeper.clock import iso
from tunnelkeeper.core.client_failures import ClientFailures, after_failure, after_success
from tunnelkeeper.core.forward_spec import (
    Forward,
    kind_of,
    target_of,
)
from tunnelkeeper.core.snapshot import (
    ClientFailureSnapshot,
    FailureSnapshot,
    ForwardSnapshot,
    ForwardState,
)
from tunnelkeeper.tunnel.check_loop import CheckLoop, ProbeFunction

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from datetime import datetime

    from tunnelkeeper.clock import Clock
    from tunnelkeeper.core.failures import Failure
    from tunnelkeeper.core.forward_spec import Address
    from tunnelkeeper.core.health_checks import Check
    from tunnelkeeper.forwarding.gate import Gate
    from tunnelkeeper.forwarding.pump import Counters
    from tunnelkeeper.net.descriptor_pool import DescriptorPool
    from tunnelkeeper.tunnel.forward_expansion import ExpandedForward


class FailureRecord(Struct, frozen=True):
    """A failure and the time of its first occurrence."""

    failure: Failure
    at: datetime

    def snapshot(self) -> FailureSnapshot:
        """Return the snapshot for front ends."""
        f = self.failure
        return FailureSnapshot(f.cause, f.hop, f.message, f.hint, iso(self.at), f.question)


class ForwardContext(Struct, frozen=True):
    """The parts of a tunnel that its forwards use. tasks owns everything that a forward starts.

    tunnel: its name. descriptors: of the process, which the forwards of all tunnels share.
    on_unhealthy: Called when enough checks of the forward have failed to replace the connection.
    """

    tunnel: str
    descriptors: DescriptorPool
    gate: Gate
    tasks: asyncio.TaskGroup
    clock: Clock
    on_change: Callable[[], None]
    on_client_refused: Callable[[Forward, str], None]
    on_unhealthy: Callable[[Forward, int], None]


class RunningForward:
    """A forward of a running tunnel. It notifies the tunnel of state changes.

    probe: Runs a check of it once, over a connection.
    """

    def __init__(
        self,
        expanded: ExpandedForward,
        counters: Counters,
        context: ForwardContext,
        probe: ProbeFunction,
    ) -> None:
        self.expanded = expanded
        self.forward = expanded.forward
        self.counters = counters
        self.state: ForwardState = "pending"
        self.last_failure: FailureRecord | None = None
        self.check: CheckLoop | None = None
        self._context = context
        self.probe = probe
        self._retry_task: asyncio.Task[None] | None = None
        self._client_failures: ClientFailures | None = None

    @property
    def current_failure(self) -> FailureRecord | None:
        """The reason why the forward does not work.

        It cannot listen, its check fails, or the server forbids its connections.
        """
        if self.check is not None and self.check.failure is not None:
            return FailureRecord(self.check.failure, self.check.failed_at)
        return self.last_failure or self.current_denial

    @property
    def current_denial(self) -> FailureRecord | None:
        """The server's refusal to open any channel for it. A forward that it opens has none."""
        return None

    @property
    def listen_address(self) -> Address:
        """The address that clients connect to."""
        return self.forward.listen

    def snapshot(self) -> ForwardSnapshot:
        """Return the snapshot for front ends."""
        target = target_of(self.forward)
        failure = self.current_failure
        return ForwardSnapshot(
            kind=kind_of(self.forward),
            listen=str(self.listen_address),
            connect=None if target is None else str(target),
            state="failed" if failure else self.state,
            failure=failure.snapshot() if failure else None,
            bytes_in=self.counters.bytes_in,
            bytes_out=self.counters.bytes_out,
            connections=self.counters.connections,
            connections_total=self.counters.connections_total,
            check=self.check.snapshot() if self.check else None,
            client_failure=self.client_failure_snapshot(),
        )

    def client_failure_snapshot(self) -> ClientFailureSnapshot | None:
        """Return the last client that failed, for front ends."""
        last = self._client_failures
        if last is None:
            return None
        return ClientFailureSnapshot(last.message, last.at, last.count, last.has_recovered)

    def set_check(self, check: Check | None) -> None:
        """Replace the health check; None removes it. An equal check keeps its last result."""
        if check == (self.check.check if self.check else None):
            return
        self.stop_checking()
        self.check = None if check is None else self._create_check_loop(check)
        if self.check is not None:
            self.check.check_now()

    def stop_checking(self) -> None:
        """Stop the health check until the forward listens again."""
        if self.check is not None:
            self.check.stop()

    def _create_check_loop(self, check: Check) -> CheckLoop:
        return CheckLoop(
            check,
            self.probe,
            tasks=self._context.tasks,
            clock=self._context.clock,
            get_connection=lambda: (
                self._context.gate.connection if self.state == "listening" else None
            ),
            on_change=self._context.on_change,
            on_unhealthy=lambda failed: self._context.on_unhealthy(self.forward, failed),
        )

    def _set_state(self, state: ForwardState, failure: Failure | None = None) -> None:
        old = self.state, self.last_failure.failure if self.last_failure else None
        if failure is None:
            self.last_failure = None
        elif old[1] != failure:
            self.last_failure = FailureRecord(failure, self._context.clock.wall())
        self.state = state
        if old != (state, failure):
            self._context.on_change()
        if self.check is not None:
            self.check.check_now()

    def _on_client_failed(self, message: str) -> None:
        now = iso(self._context.clock.wall())
        self._client_failures = after_failure(self._client_failures, message, now)
        self._context.on_client_refused(self.forward, message)

    def _on_client_served(self) -> None:
        self._client_failures = after_success(self._client_failures)

    def _cancel_retry(self) -> None:
        if self._retry_task is not None:
            self._retry_task.cancel()
            self._retry_task = None
