"""What the operating system says that processes have used: processor time and memory; Linux only.

It trusts no program's own word, and counts only the ids that it is given.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable

KB = 1024
PROC = Path("/proc")


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time of processes so far, in user and in kernel mode."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(each.user + each.system for each in times)


def proportional_bytes(pids: Iterable[int]) -> int:
    """Memory of processes; what several share is divided among them (PSS, proc(5))."""
    return sum(_kilobytes(pid, "smaps_rollup", "Pss") for pid in pids) * KB


def resident_bytes(pid: int) -> int:
    """Memory of a process now (RSS)."""
    return _kilobytes(pid, "status", "VmRSS") * KB


def peak_bytes(pid: int) -> int:
    """The most memory that a process had since it began, or since its peak was forgotten."""
    return _kilobytes(pid, "status", "VmHWM") * KB


def forget_peak(pid: int) -> None:
    """Let the peak be what is resident now (proc(5), clear_refs)."""
    (PROC / str(pid) / "clear_refs").write_text("5")


def _kilobytes(pid: int, file: str, name: str) -> int:
    for line in (PROC / str(pid) / file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    raise ValueError(f"/proc/{pid}/{file} has no line {name}")
