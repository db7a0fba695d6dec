"""What the programs hold and use when nothing happens: the same in the end as in the beginning."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil

from tests.faults.footprint import SLACK, Footprint
from tests.faults.soak.summary import Quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_CPU = 0.1
"""Of a core: ten tunnels with a keepalive a second each, on a machine that others use too."""


def watched(
    processes: Mapping[str, int], when: str, wait: Callable[[float], None], seconds: float
) -> list[Quiet]:
    """Watch processes, by name and ID, for this many seconds."""
    used = {who: _cpu(psutil.Process(pid)) for who, pid in processes.items()}
    began = time.monotonic()
    wait(seconds)
    passed = time.monotonic() - began
    return [
        _seen(psutil.Process(pid), who, when, used[who], passed) for who, pid in processes.items()
    ]


def grown(before: Quiet, now: Quiet) -> str:
    """Return a sentence about what a process holds more of; empty if nothing has grown."""
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


def _seen(process: psutil.Process, who: str, when: str, used: float, passed: float) -> Quiet:
    held = Footprint.of(process.pid)
    return Quiet(
        who,
        when,
        held.memory,
        held.descriptors,
        held.threads,
        held.children,
        _listeners(process),
        (_cpu(process) - used) / passed,
    )


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _listeners(process: psutil.Process) -> int:
    """How many TCP and Unix sockets it listens on."""
    tcp = [each for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    # What was accepted on a path has that path too; a socket without one has "".
    paths = {str(each.laddr) for each in process.net_connections("unix")} - {""}
    return len(tcp) + len(paths)
