"""A soak run: rounds of random faults, with recovery after each, between idle measurements.

The run has two parts. In the first any fault may occur; in the second no process of ours is killed,
so that the resources of each process at its end can be compared with those at its beginning.
"""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults.expectation import (
    BACKOFF,
    CONNECT_LIMIT,
    REMOTE_PORT_RETRY,
    UNANSWERED_KEEPALIVES,
)
from tests.faults.footprint import Footprint
from tests.faults.soak.faults import FAULTS, SUPERVISOR_FAULTS, SupervisorFault, server_killed
from tests.faults.soak.idle import MAX_IDLE_CPU, describe_growth, measure_idle
from tests.faults.soak.judge import Bounds, Exemption
from tests.faults.soak.monitor import CLIENT_TIMEOUT, Monitor, ViolationError
from tests.faults.soak.summary import Allowed

if TYPE_CHECKING:
    from random import Random

    from tests.faults.soak.endpoints import Endpoint
    from tests.faults.soak.environment import Environment, LinkedServer
    from tests.faults.soak.event_record import EventRecord
    from tests.faults.soak.faults import Fault
    from tests.faults.soak.summary import IdleSample, Summary

MARGIN = 15.0
"""Seconds added to each bound, since the machine may be busy."""

SHORT = (0.0, 10.0)
LONG = (30.0, 45.0)
"""Minimum and maximum seconds of a fault. Short ones end during an attempt; a long one exposes a
supervisor that reports a dead tunnel up, since it is longer than BOUNDS.false_up."""

LONG_SHARE = 0.2
"""The share of rounds with a long fault."""

MAX_PAUSE = 3.0
"""Maximum seconds between two rounds."""

FIRST_PART_SHARE = 0.3
"""The share of the time in which processes of ours are killed, too."""

MAX_FAULTS = 3
"""Maximum faults of a round: each of another server, and one of the supervisor."""

BOUNDS = Bounds(
    # A client opens a new connection only after CLIENT_TIMEOUT.
    false_up=UNANSWERED_KEEPALIVES.seconds + CLIENT_TIMEOUT + MARGIN,
    undisturbed=CLIENT_TIMEOUT + MARGIN,
    control=MARGIN,
)

INTERNAL_ERROR = re.compile(r"internal (?:fault|error)|Traceback")


def recovery_bound(endpoint: Endpoint) -> float:
    """Return the seconds after the end of all faults within which an endpoint must carry data.

    A dead connection may not be detected yet; at each hop an attempt that cannot succeed may be
    in progress; a server may still hold the port for the previous session.
    """
    seconds = UNANSWERED_KEEPALIVES.seconds + MARGIN
    seconds += endpoint.hops * (CONNECT_LIMIT.seconds + BACKOFF.seconds)
    return seconds + (REMOTE_PORT_RETRY.seconds if endpoint.remote else 0.0)


def allowed(endpoints: list[Endpoint]) -> Allowed:
    """Return the limits of a run, for its summary."""
    longest = max(map(recovery_bound, endpoints))
    return Allowed(BOUNDS.false_up, BOUNDS.undisturbed, BOUNDS.control, longest)


@dataclass(slots=True)
class Run:
    """One run in an environment. idle_seconds: the duration of each idle measurement."""

    environment: Environment
    monitor: Monitor
    record: EventRecord
    rng: Random
    summary: Summary
    idle_seconds: float = 10.0

    def run(self, seconds: float) -> None:
        """Inject faults for this many seconds and measure idle processes. Raises ViolationError."""
        self._wait_for_recovery(self.monitor.begin(Exemption(self._all_endpoints)), [])
        self._measure_idle("at the beginning")
        self._rounds(FIRST_PART_SHARE * seconds, may_kill=True)
        before = self._measure_idle("after the first part")
        self._rounds((1 - FIRST_PART_SHARE) * seconds, may_kill=False)
        after = self._measure_idle("at the end")
        for earlier, now in zip(before, after, strict=True):
            if more := describe_growth(earlier, now):
                raise ViolationError(more)

    @property
    def _all_endpoints(self) -> frozenset[str]:
        return frozenset(endpoint.name for endpoint in self.environment.endpoints)

    # -- a round -----------------------------------------------------------------------------------

    def _rounds(self, seconds: float, *, may_kill: bool) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._round(may_kill=may_kill)
            self.summary.rounds += 1
            self.monitor.begin()
            self.monitor.wait(self.rng.uniform(0.0, MAX_PAUSE))

    def _round(self, *, may_kill: bool) -> None:
        chosen, supervisor_fault = self._choose(may_kill=may_kill)
        names = [f"{fault.name} ({target.name})" for fault, target in chosen]
        affected = frozenset(
            endpoint.name
            for endpoint in self.environment.endpoints
            if endpoint.servers & {target.name for _, target in chosen}
        )
        exemption = Exemption(affected)
        if supervisor_fault is not None:
            names.append(supervisor_fault.name)
            exemption |= supervisor_fault.exemption(self._all_endpoints)
        seconds = self.rng.uniform(*(LONG if self.rng.random() < LONG_SHARE else SHORT))
        self.record.report(f"{', '.join(names)}, for {seconds:.1f} s")
        self.monitor.begin(exemption)
        with ExitStack() as stack:
            for fault, target in chosen:
                stack.enter_context(fault.act(self.environment, target, self.rng))
            if supervisor_fault is not None:
                stack.enter_context(supervisor_fault.act(self.environment, self.rng))
            self.monitor.wait(seconds)
        faults = [fault.name for fault, _ in chosen]
        if supervisor_fault is not None:
            faults.append(supervisor_fault.name)
        lasting = Exemption(exemption.affected)
        self._wait_for_recovery(self.monitor.begin(lasting), faults)
        self._check_logs()

    def _choose(
        self, *, may_kill: bool
    ) -> tuple[list[tuple[Fault, LinkedServer]], SupervisorFault | None]:
        """Choose the faults of a round, at least one."""
        servers = self.rng.sample(
            list(self.environment.servers.values()), self.rng.randint(0, MAX_FAULTS - 1)
        )
        chosen = [(self._choose_fault(target, may_kill=may_kill), target) for target in servers]
        if chosen and self.rng.random() < 1 / 2:
            return chosen, None
        of_supervisor = [
            fault for fault in SUPERVISOR_FAULTS if may_kill or not fault.kills_supervisor
        ]
        return chosen, self.rng.choice(of_supervisor)

    def _choose_fault(self, target: LinkedServer, *, may_kill: bool) -> Fault:
        is_relay = target.name == "r"
        excluded = {server_killed} if is_relay and not may_kill else set()
        return self.rng.choice([fault for fault in FAULTS if fault.act not in excluded])

    def _wait_for_recovery(self, since: float, faults: list[str]) -> None:
        """Check that data flows through every endpoint in time; record how long it took."""
        slowest = 0.0
        for endpoint in sorted(self.environment.endpoints, key=recovery_bound):
            within = recovery_bound(endpoint)
            left = within - (time.monotonic() - since)
            if not self.monitor.wait_until_working(endpoint.name, since, left):
                raise ViolationError(
                    f"{endpoint.name} does not work {within:.0f} s after the end of the faults"
                )
            slowest = max(slowest, time.monotonic() - since)
        self.record.report(f"    all endpoints work after {slowest:.1f} s")
        self.record.add(f"footprint of the supervisor: {Footprint.of(self.environment.pid)}")
        for fault in dict.fromkeys(faults):
            self.summary.recovery.setdefault(fault, []).append(slowest)

    def _check_logs(self) -> None:
        logs: list[tuple[str, str]] = [("supervisor", self.environment.program.log())]
        logs.append(("relay", self.environment.servers["r"].process.log()))
        for who, text in logs:
            if found := INTERNAL_ERROR.search(text):
                raise ViolationError(f"the log of the {who} has: {text[found.start() :][:500]}")

    # -- idle measurement --------------------------------------------------------------------------

    def _measure_idle(self, when: str) -> list[IdleSample]:
        """Measure the supervisor and our relay while all tunnels are up and nothing is sent."""
        self.monitor.pause()
        self.record.report(f"idle for {self.idle_seconds:g} s, {when}")
        self.monitor.wait(UNANSWERED_KEEPALIVES.seconds)  # the relay detects dead clients
        self.monitor.wait_until(self._is_idle, MARGIN)
        relay = self.environment.servers["r"].process
        processes = {"supervisor": self.environment.pid, "relay": relay.pid}
        samples = measure_idle(processes, when, self.monitor.wait, self.idle_seconds)
        self.summary.idle_samples += samples
        for sample in samples:
            if sample.cpu > MAX_IDLE_CPU:
                raise ViolationError(
                    f"the {sample.who} is idle and uses {sample.cpu:.0%} of a core"
                )
        self.monitor.resume()
        return samples

    def _is_idle(self) -> bool:
        tunnels = self.environment.program.status().tunnels
        return all(tunnel.state == "up" and not tunnel.connections for tunnel in tunnels)
