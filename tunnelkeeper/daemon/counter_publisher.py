"""Tells one subscriber what no event tells: counters, round trips, the supervisor's own process.

It looks at all tunnels so often and tells of those that changed. States are not its business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.control.payloads import CountersEvent, TunnelCounters, TunnelEvent
from tunnelkeeper.tunnel.snapshots import counters_of, tunnel_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tunnelkeeper.clock import Clock
    from tunnelkeeper.control.api import Listener
    from tunnelkeeper.core.configuration import Tunnel
    from tunnelkeeper.core.snapshot import SupervisorSnapshot
    from tunnelkeeper.tunnel.runner import Runner


class CounterPublisher:
    """Beats from its making to `stop`. every: seconds between two beats."""

    def __init__(
        self,
        every: float,
        clock: Clock,
        runners: Callable[[], Iterable[Runner]],
        process: Callable[[], SupervisorSnapshot],
        listener: Listener,
    ) -> None:
        self._every = every
        self._clock = clock
        self._runners = runners
        self._process = process
        self._listener = listener
        # What was so before is in the `status` that a subscriber asks for.
        self._told = self._look()
        self._timer = clock.call_at(clock.monotonic() + every, self._beat)

    def stop(self) -> None:
        """Tell nothing any more."""
        self._timer.cancel()

    def _beat(self) -> None:
        before, self._told = self._told, self._look()
        changed = []
        for runner in self._runners():
            tunnel, counters = self._told[runner.tunnel.name]
            tunnel_before, counters_before = before.get(tunnel.name, (None, None))
            if tunnel is not tunnel_before:
                # New, or configured anew: that changes no state, so nothing else tells it.
                self._listener(TunnelEvent(tunnel_snapshot(runner, self._clock)))
            elif counters != counters_before:
                changed.append(counters)
        self._listener(CountersEvent(self._process(), changed))
        self._timer = self._clock.call_at(self._clock.monotonic() + self._every, self._beat)

    def _look(self) -> dict[str, tuple[Tunnel, TunnelCounters]]:
        return {each.tunnel.name: (each.tunnel, counters_of(each)) for each in self._runners()}
