"""Many tunnels at once: how soon they all carry data, and how much memory one more takes.

Only the client side counts: the far side is the same sshd for all.
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
    from benchmarks.rows import Against
    from benchmarks.scale import Scale

WITHIN = 300.0
"""Seconds in which every fleet has to be up, on however slow a machine."""


def fleet(lab: Lab, count: int, target: int) -> list[Tunnel]:
    """So many tunnels, a local forward to the target each."""
    return [Tunnel((Forward("local", listen, target),), lab.port) for listen in free_ports(count)]


def ports_of(tunnels: list[Tunnel]) -> list[int]:
    """Where the forwards of tunnels are entered."""
    return [forward.listen for tunnel in tunnels for forward in tunnel.forwards]


@contextmanager
def start_up(lab: Lab, scale: Scale, name: Against) -> Iterator[Take]:
    """From the first process that is started until all tunnels carry data.

    Figure: rate, in tunnels per second.
    """
    with serving(echo) as target:
        tunnels = fleet(lab, scale.startup_tunnels, target)

        yield lambda: {"rate": len(tunnels) / _seconds_to_carry(lab, name, tunnels)}


@contextmanager
def first_data(lab: Lab, _scale: Scale, name: Against) -> Iterator[Take]:
    """The same for a single tunnel. Figure: seconds."""
    with serving(echo) as target:
        tunnels = fleet(lab, 1, target)
        yield lambda: {"seconds": _seconds_to_carry(lab, name, tunnels)}


@contextmanager
def memory(lab: Lab, scale: Scale, name: Against) -> Iterator[Take]:
    """Memory (PSS) of the client's processes. Figure: pss, in kB a tunnel after the first one."""
    with serving(echo) as target:
        tunnels = fleet(lab, scale.memory_tunnels, target)

        def held(some: list[Tunnel]) -> int:
            with started(lab, name, some) as client:
                wait_until_all_carry(ports_of(some), WITHIN)
                return proportional_bytes(client.pids())

        def take() -> Figures:
            return {"pss": (held(tunnels) - held(tunnels[:1])) / (len(tunnels) - 1) / 1e3}

        yield take


def _seconds_to_carry(lab: Lab, name: Against, tunnels: list[Tunnel]) -> float:
    begun = perf_counter()
    with started(lab, name, tunnels):
        wait_until_all_carry(ports_of(tunnels), WITHIN)
        return perf_counter() - begun
