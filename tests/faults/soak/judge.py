"""The invariants of a soak run, checked against timed observations.

The judge has no clock and observes nothing itself. Times are monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ConnectionId = tuple[str, int]
"""Identifies one connection of a tunnel: `since` and `restarts` of its status."""

MAX_STATUS_GAP = 2.0
"""Seconds between two status samples beyond which the time between them counts as unknown."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits in seconds.

    false_up: for a tunnel that is reported up and carries no data. undisturbed: without data for
    an endpoint that no fault affects. control: for an answer on the control socket.
    """

    false_up: float
    undisturbed: float
    control: float


@dataclass(frozen=True, slots=True)
class Exemption:
    """Checks that are suspended during a fault.

    affected: the endpoints that need not carry data. false_up: a tunnel may be reported up while
    new clients are not served. no_answers: the control socket need not answer.
    """

    affected: frozenset[str] = frozenset()
    false_up: bool = False
    no_answers: bool = False

    def __or__(self, other: Exemption) -> Exemption:
        """Return the exemption while both faults last."""
        return Exemption(
            self.affected | other.affected,
            self.false_up or other.false_up,
            self.no_answers or other.no_answers,
        )


@dataclass(slots=True)
class _UpPeriod:
    """A time in which a tunnel was reported up on one connection: first and last sample."""

    connection: ConnectionId
    first: float
    last: float


class Judge:
    """Checks observations. endpoints: the name of each endpoint's tunnel.

    longest_false_up: the longest time so far that a tunnel was reported up without data.
    slowest_answer: the longest time for an answer on the control socket. Both leave exempted
    times out.
    """

    def __init__(self, endpoints: Mapping[str, str], bounds: Bounds, now: float) -> None:
        self.bounds = bounds
        self.longest_false_up = 0.0
        self.slowest_answer = 0.0
        self._tunnels = dict(endpoints)
        self._up_periods: dict[str, _UpPeriod] = {}
        self._exemption = Exemption()
        self._data_at = dict.fromkeys(endpoints, -inf)
        self._reset_at = now
        self._answer_at = now

    def reset(self, now: float, exemption: Exemption | None = None) -> None:
        """Discard the past and apply another exemption from now on."""
        self._reset_at = now
        self._exemption = exemption or Exemption()
        self._up_periods.clear()

    def record_data(self, endpoint: str, now: float) -> None:
        """Record that a ping through an endpoint was echoed."""
        self._measure_false_up(endpoint)
        self._data_at[endpoint] = now

    def record_answer(self, asked: float, now: float) -> None:
        """Record an answer of the control socket. asked: the time of the request."""
        self._answer_at = now
        if asked >= self._reset_at and not self._exemption.no_answers:
            self.slowest_answer = max(self.slowest_answer, now - asked)

    def record_status(self, tunnel: str, state: str, connection: ConnectionId, now: float) -> None:
        """Record the status of a tunnel."""
        period = self._up_periods.get(tunnel)
        if state != "up":
            self._up_periods.pop(tunnel, None)
        elif (
            period is None or period.connection != connection or now - period.last > MAX_STATUS_GAP
        ):
            self._up_periods[tunnel] = _UpPeriod(connection, now, now)
        else:
            period.last = now

    def is_working(self, endpoint: str, since: float) -> bool:
        """Return whether the tunnel is reported up and the endpoint has carried data since then."""
        return self._data_at[endpoint] > since and self._tunnels[endpoint] in self._up_periods

    def violation(self, now: float) -> str:
        """Describe the first violation; empty if there is none."""
        if not self._exemption.no_answers:
            silent = now - max(self._answer_at, self._reset_at)
            if silent > self.bounds.control:
                return f"the control socket has not answered for {silent:.1f} s"
        for endpoint, tunnel in self._tunnels.items():
            duration = self._measure_false_up(endpoint)
            if duration > self.bounds.false_up and not self._exemption.false_up:
                silence = f"{endpoint} has carried no data for {duration:.1f} s"
                return f"{tunnel} is reported up, but {silence}"
            idle = now - max(self._data_at[endpoint], self._reset_at)
            if endpoint not in self._exemption.affected and idle > self.bounds.undisturbed:
                return f"{endpoint} has carried no data for {idle:.1f} s, and no fault affects it"
        return ""

    def _measure_false_up(self, endpoint: str) -> float:
        """Return for how long the endpoint's tunnel has been reported up without carrying data."""
        period = self._up_periods.get(self._tunnels[endpoint])
        if period is None:
            return 0.0
        duration = period.last - max(period.first, self._data_at[endpoint])
        if not self._exemption.false_up:
            self.longest_false_up = max(self.longest_false_up, duration)
        return duration
