"""Round-trip times of 64 bytes, alone and beside a bulk transfer on the same connection."""

from __future__ import annotations

import multiprocessing
import signal
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.clients import connected, ping, pull, push
from benchmarks.contenders import opened
from benchmarks.processes import BenchmarkError, free_ports
from benchmarks.services import open_services
from benchmarks.slow_link import narrow_link
from benchmarks.statistics import percentile
from benchmarks.tunnels import Forward, Tunnel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from socket import socket

    from benchmarks.clients import Transfer
    from benchmarks.lab import Lab
    from benchmarks.measures import Figures, Take
    from benchmarks.rows import Contender
    from benchmarks.scale import Scale

WARM_UP = 100  # uncounted round trips
NARROW = 20e6
"""Bytes per second on the narrow link: a good uplink."""
LONGER = 60.0  # seconds, longer than any measurement; the transfer is ended before


@contextmanager
def round_trips(lab: Lab, scale: Scale, name: Contender) -> Iterator[Take]:
    """Measure round trips on an idle connection. Figures: p50 and p99 in microseconds."""
    with open_services() as services:
        forward = Forward("local", free_ports(1)[0], services.echo)
        with opened(lab, name, [Tunnel((forward,), lab.port)]) as client:

            def take() -> Figures:
                with connected(client.entry(forward)) as stream:
                    for _ in range(WARM_UP):
                        ping(stream)
                    samples = [ping(stream) * 1e6 for _ in range(scale.pings)]
                return {"p50": percentile(samples, 50), "p99": percentile(samples, 99)}

            yield take


@contextmanager
def beside_bulk(lab: Lab, scale: Scale, name: Contender) -> Iterator[Take]:
    """Measure the p99 in microseconds beside an upload (up) and a download (down)."""
    with open_services() as services:
        targets = (services.echo, services.sink, services.source)
        listens = free_ports(len(targets))
        forwards = [Forward("local", *ends) for ends in zip(listens, targets, strict=True)]
        with opened(lab, name, [Tunnel(tuple(forwards), lab.port)]) as client:
            small, up, down = map(client.entry, forwards)

            def take() -> Figures:
                found = {}
                for figure, port, move in (("up", up, push), ("down", down, pull)):
                    with _moving(port, move), connected(small) as stream:
                        found[figure] = percentile(_pings_for(stream, scale.busy), 99)
                return found

            yield take


@contextmanager
def beside_bulk_on_narrow_link(lab: Lab, scale: Scale, name: Contender) -> Iterator[Take]:
    """Measure the p50 in microseconds beside an upload that fills a narrow link."""
    with open_services() as services, narrow_link(lab.port, NARROW) as far:
        forwards = [
            Forward("local", *ends)
            for ends in zip(free_ports(2), (services.echo, services.sink), strict=True)
        ]
        with opened(lab, name, [Tunnel(tuple(forwards), far)]) as client:
            small, up = map(client.entry, forwards)

            def take() -> Figures:
                with _moving(up, push), connected(small) as stream:
                    return {"up": percentile(_pings_for(stream, scale.narrow), 50)}

            yield take


@contextmanager
def _moving(port: int, move: Callable[[socket, float], Transfer]) -> Iterator[None]:
    """Run a bulk transfer in another process; enter the block once data flows."""
    context = multiprocessing.get_context("fork")
    flows = context.Event()

    def work() -> None:
        signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # the benchmarks handle Ctrl-C and end this process
        with connected(port) as stream:
            move(stream, 0.1)
        with connected(port) as stream:
            flows.set()
            move(stream, LONGER)

    process = context.Process(target=work, daemon=True)
    process.start()
    try:
        if not flows.wait(10):
            raise BenchmarkError("no bulk data flows after 10 s")
        yield
    finally:
        process.kill()
        process.join()


def _pings_for(stream: socket, seconds: float) -> list[float]:
    samples = []
    end = perf_counter() + seconds
    while perf_counter() < end:
        samples.append(ping(stream) * 1e6)
    return samples
