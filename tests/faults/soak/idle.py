"""Resources of idle processes, which must not grow from one measurement to the next."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil

from tests.faults.footprint import SLACK, Footprint
from tests.faults.soak.summary import IdleSample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LOOKS = 200
MAX_IDLE_CPU = 0.1
"""The share of a core for ten tunnels with a keepalive a second each, on a busy machine."""


def measure_idle(
    processes: Mapping[str, int], when: str, wait: Callable[[float], None], seconds: float
) -> list[IdleSample]:
    """Measure processes, given by name and ID, over this many seconds."""
    cpu_before = {who: _cpu(psutil.Process(pid)) for who, pid in processes.items()}
    started = time.monotonic()
    wait(seconds)
    elapsed = time.monotonic() - started
    return [
        _sample(psutil.Process(pid), who, when, cpu_before[who], elapsed)
        for who, pid in processes.items()
    ]


def describe_growth(before: IdleSample, now: IdleSample) -> str:
    """Describe the resources that have grown; empty if none has."""
    more = [
        f"{name} from {was} to {is_now}"
        for name, was, is_now in (
            ("descriptors", before.descriptors, now.descriptors),
            ("threads", before.threads, now.threads),
            ("children", before.children, now.children),
            ("listening sockets", before.listeners, now.listeners),
        )
        if is_now > was
    ]
    if now.memory > before.memory + SLACK:
        more.append(f"memory from {before.memory / 1e6:.1f} MB to {now.memory / 1e6:.1f} MB")
    return f"the {now.who} has grown: {', '.join(more)}" if more else ""


def _sample(
    process: psutil.Process, who: str, when: str, cpu_before: float, seconds: float
) -> IdleSample:
    footprint = Footprint.of(process.pid)
    return IdleSample(
        who,
        when,
        footprint.memory,
        footprint.descriptors,
        _lasting_threads(process),
        footprint.children,
        _listeners(process),
        (_cpu(process) - cpu_before) / seconds,
    )


def _lasting_threads(process: psutil.Process) -> int:
    """Count the threads without those that a request for the status starts for an instant."""
    return min(process.num_threads() for _ in range(_LOOKS))


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _listeners(process: psutil.Process) -> int:
    """Count the TCP and Unix sockets on which the process listens."""
    tcp = [c for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    # Accepted connections share the path of their listener; an unnamed socket has "".
    paths = {str(c.laddr) for c in process.net_connections("unix")} - {""}
    return len(tcp) + len(paths)
