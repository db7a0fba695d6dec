"""Closes the channels of a connection that carry no data for a while (ChannelTimeout).

The rules are those of ssh_config(5). The first rule whose pattern matches the type of a channel
decides, and `global` applies to all channels together. There is one timer per connection, and none
without channels.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.core.wildcards import matches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.forward_spec import Address
    from tunnelkeeper.core.ssh_values import ChannelTimeout
    from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters

GLOBAL = "global"
SWEEPS_PER_TIMEOUT = 10
"""A channel is closed at most a tenth of its timeout late."""
SHORTEST_SWEEP = 0.1


def channel_types(direction: str, address: Address) -> tuple[str, ...]:
    """Return the type of a forwarded channel. direction: `direct` or `forwarded`."""
    kind = "tcpip" if isinstance(address, TcpAddress) else "streamlocal@openssh.com"
    return (f"{direction}-{kind}",)


class ActivityCounters:
    """The counters of one channel: they pass everything on to those of its forward."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self.has_moved = False

    @property
    def bytes_in(self) -> int:
        """Bytes from the server."""
        return self._counters.bytes_in

    @bytes_in.setter
    def bytes_in(self, value: int) -> None:
        self._counters.bytes_in = value
        self.has_moved = True

    @property
    def bytes_out(self) -> int:
        """Bytes to the server."""
        return self._counters.bytes_out

    @bytes_out.setter
    def bytes_out(self, value: int) -> None:
        self._counters.bytes_out = value
        self.has_moved = True

    @property
    def connections(self) -> int:
        """Open connections of the forward."""
        return self._counters.connections

    @connections.setter
    def connections(self, value: int) -> None:
        self._counters.connections = value

    @property
    def connections_total(self) -> int:
        """All connections of the forward."""
        return self._counters.connections_total

    @connections_total.setter
    def connections_total(self, value: int) -> None:
        self._counters.connections_total = value


@dataclass(slots=True)
class _Watched:
    """A channel. timeout: seconds, or 0 for none of its own. active_at: by the loop's clock."""

    counters: ActivityCounters
    timeout: int
    active_at: float


class IdleChannels:
    """The open channels of one connection."""

    def __init__(self, rules: Sequence[ChannelTimeout]) -> None:
        self._rules = [rule for rule in rules if rule.type != GLOBAL]
        self._global = next((rule.seconds for rule in rules if rule.type == GLOBAL), 0)
        timeouts = [rule.seconds for rule in rules if rule.seconds]
        self._sweep_interval = max(min(timeouts, default=0) / SWEEPS_PER_TIMEOUT, SHORTEST_SWEEP)
        self._watched: dict[ChannelEndpoint, _Watched] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, types: Sequence[str], endpoint: ChannelEndpoint) -> None:
        """Watch a channel. types: the names of its type, of which the first that matches counts."""
        timeout = next(
            (rule.seconds for kind in types for rule in self._rules if matches(kind, rule.type)), 0
        )
        if endpoint.is_closed or not (timeout or self._global):
            return
        counters = ActivityCounters(endpoint._counters)  # noqa: SLF001  every byte is counted there
        endpoint._counters = counters  # type: ignore[assignment]  # noqa: SLF001
        loop = asyncio.get_running_loop()
        self._watched[endpoint] = _Watched(counters, timeout, loop.time())
        if self._timer is None:
            self._timer = loop.call_later(self._sweep_interval, self._sweep)

    def remove(self, endpoint: ChannelEndpoint) -> None:
        """Forget a channel that is closed."""
        self._watched.pop(endpoint, None)
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = loop.call_later(self._sweep_interval, self._sweep)
        for watched in self._watched.values():
            if watched.counters.has_moved:
                watched.counters.has_moved = False
                watched.active_at = now
        last = max(watched.active_at for watched in self._watched.values())
        all_idle = bool(self._global) and now - last >= self._global
        for endpoint, watched in tuple(self._watched.items()):
            if all_idle or (watched.timeout and now - watched.active_at >= watched.timeout):
                _close(endpoint)


def _close(endpoint: ChannelEndpoint) -> None:
    peer = endpoint.peer
    endpoint.abort()
    if peer is not None:
        peer.close()
