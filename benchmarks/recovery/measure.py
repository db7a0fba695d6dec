"""The time from the server's return until data flows, for both contenders at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from benchmarks.clients import wait_until_all_carry
from benchmarks.contenders import opened
from benchmarks.processes import BenchmarkError, free_ports
from benchmarks.recovery.report import Returns
from benchmarks.recovery.worlds import Kind, world_of
from benchmarks.rows import Contender
from benchmarks.tunnels import Forward, Tunnel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.recovery.worlds import Place, World

CONTENDERS = (Contender.TUNNELKEEPER, Contender.AUTOSSH)
SETTLED = 3.0
"""Seconds for which both are up before the outage."""

BACK_WITHIN = 300.0
"""Seconds to wait for data after an outage."""


@dataclass(frozen=True, slots=True)
class Outage:
    """The kind of an outage, and its duration in seconds."""

    kind: Kind
    seconds: float


def measure(outages: Sequence[Outage], rounds: int, tell: Callable[[str], None]) -> list[Returns]:
    """Measure all outages concurrently, each in its own world, for a number of rounds.

    Raises BenchmarkError.
    """
    with ExitStack() as stack:
        # The worlds start before any thread. Their services are forks, which would inherit pipes
        # and locks that another thread holds at that moment.
        worlds = [stack.enter_context(world_of(outage.kind)) for outage in outages]
        halt = Event()
        threads = stack.enter_context(ThreadPoolExecutor(len(outages)))
        stack.callback(halt.set)
        found = [
            threads.submit(_rounds, world, outage, rounds, tell, halt)
            for world, outage in zip(worlds, outages, strict=True)
        ]
        for each in as_completed(found):
            each.result()
        return [returns for each in found for returns in each.result()]


def _rounds(
    world: World, outage: Outage, rounds: int, tell: Callable[[str], None], halt: Event
) -> list[Returns]:
    samples: dict[Contender, list[float]] = {name: [] for name in CONTENDERS}
    for number in range(rounds):
        took = _once(world, outage.seconds, halt)
        for name in CONTENDERS:
            samples[name].append(took[name])
        times = ", ".join(f"{name} {took[name]:.1f} s" for name in CONTENDERS)
        tell(f"{outage.kind}, {outage.seconds:g} s, round {number + 1}: {times}")
    return [Returns(outage.kind, outage.seconds, name, samples[name]) for name in CONTENDERS]


def _once(world: World, seconds: float, halt: Event) -> dict[Contender, float]:
    """Start both contenders and take them through one outage; return their times."""
    with ExitStack() as stack:
        stack.enter_context(world.near())
        ports: dict[Contender, int] = {}
        for name in CONTENDERS:
            [port] = free_ports(1)
            tunnel = Tunnel((Forward("local", port, world.target),), world.lab.port)
            stack.enter_context(opened(world.lab, name, [tunnel]))
            wait_until_all_carry([port], BACK_WITHIN)
            ports[name] = port
        _wait(SETTLED, halt)
        with world.far(), world.outage():
            _wait(seconds, halt)
        back = time.monotonic()
        with ThreadPoolExecutor(len(ports)) as threads:
            waits = {
                name: threads.submit(_seconds_since, back, port, world.near)
                for name, port in ports.items()
            }
            return {name: wait.result() for name, wait in waits.items()}


def _wait(seconds: float, halt: Event) -> None:
    if halt.wait(seconds):
        raise BenchmarkError("interrupted")


def _seconds_since(back: float, port: int, near: Place) -> float:
    with near():
        wait_until_all_carry([port], BACK_WITHIN)
        return time.monotonic() - back
