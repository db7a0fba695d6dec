"""Startup time and memory of many tunnels.

Only the client side is measured; all contenders use the same sshd.
"""

from __future__ import annotations

from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.accounting import proportional_bytes
from benchmarks.clients import wait_until_all_carry
from benchmarks.contenders import started
from benchmarks.processes import free_ports
from benchmarks.services import echo, serving
from benchmarks.tunnels import Forward, Tunnel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.lab import Lab
    from benchmarks.measures import Figures, Take
    from benchmarks.rows import Contender
    from benchmarks.scale import Scale

WITHIN = 300.0
"""Seconds in which every fleet must be up, even on a slow machine."""


def fleet(lab: Lab, count: int, target: int) -> list[Tunnel]:
    """Return tunnels with one local forward to the target each."""
    return [Tunnel((Forward("local", listen, target),), lab.port) for listen in free_ports(count)]


def ports_of(tunnels: list[Tunnel]) -> list[int]:
    """Return the listen ports of the tunnels' forwards."""
    return [forward.listen for tunnel in tunnels for forward in tunnel.forwards]


@contextmanager
def start_up(lab: Lab, scale: Scale, name: Contender) -> Iterator[Take]:
    """Measure the time from the first process until all tunnels carry data.

    Figure: rate, in tunnels per second.
    """
    with serving(echo) as target:
        tunnels = fleet(lab, scale.startup_tunnels, target)

        yield lambda: {"rate": len(tunnels) / _seconds_to_carry(lab, name, tunnels)}


@contextmanager
def first_data(lab: Lab, _scale: Scale, name: Contender) -> Iterator[Take]:
    """Measure the same for a single tunnel. Figure: seconds."""
    with serving(echo) as target:
        tunnels = fleet(lab, 1, target)
        yield lambda: {"seconds": _seconds_to_carry(lab, name, tunnels)}


@contextmanager
def memory(lab: Lab, scale: Scale, name: Contender) -> Iterator[Take]:
    """Measure the memory (PSS) of the client. Figure: pss, in kB per tunnel after the first."""
    with serving(echo) as target:
        tunnels = fleet(lab, scale.memory_tunnels, target)

        def held(some: list[Tunnel]) -> int:
            with started(lab, name, some) as client:
                wait_until_all_carry(ports_of(some), WITHIN)
                return proportional_bytes(client.pids())

        def take() -> Figures:
            return {"pss": (held(tunnels) - held(tunnels[:1])) / (len(tunnels) - 1) / 1e3}

        yield take


def _seconds_to_carry(lab: Lab, name: Contender, tunnels: list[Tunnel]) -> float:
    started_at = perf_counter()
    with started(lab, name, tunnels):
        wait_until_all_carry(ports_of(tunnels), WITHIN)
        return perf_counter() - started_at
