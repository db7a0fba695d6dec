"""New connections per second through a forward: connect, exchange 1 KB, close."""

from __future__ import annotations

from contextlib import closing, contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.clients import visits
from benchmarks.contenders import opened
from benchmarks.processes import free_ports
from benchmarks.services import open_services
from benchmarks.tunnels import Forward, Tunnel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.lab import Lab
    from benchmarks.measures import Figures, Take
    from benchmarks.rows import Contender
    from benchmarks.scale import Scale

AT_ONCE = (1, 50)


@contextmanager
def connections(lab: Lab, scale: Scale, name: Contender) -> Iterator[Take]:
    """Measure connections per second with 1 and with 50 concurrent ones. Figures: 1 and 50."""
    with open_services() as services:
        forward = Forward("local", free_ports(1)[0], services.echo)
        with opened(lab, name, [Tunnel((forward,), lab.port)]) as client:

            def take() -> Figures:
                port = client.entry(forward)
                return {str(count): _rate(port, count, scale.connecting) for count in AT_ONCE}

            yield take


def _rate(port: int, at_once: int, seconds: float) -> float:
    with closing(visits(port, at_once)) as done:
        for _ in range(at_once):  # the first ones warm up
            next(done)
        started_at = perf_counter()
        count = 0
        while (elapsed := perf_counter() - started_at) < seconds:
            next(done)
            count += 1
    return count / elapsed
