"""CPU time and memory of processes, as the Linux kernel accounts for them.

It uses no figures that programs report themselves, and counts only the given process ids.
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
    """Return the CPU seconds of processes so far, in user and kernel mode."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(each.user + each.system for each in times)


def proportional_bytes(pids: Iterable[int]) -> int:
    """Return the proportional memory of processes: shared pages are divided (PSS, proc(5))."""
    return sum(_kilobytes(pid, "smaps_rollup", "Pss") for pid in pids) * KB


def resident_bytes(pid: int) -> int:
    """Return the current memory of a process (RSS)."""
    return _kilobytes(pid, "status", "VmRSS") * KB


def peak_bytes(pid: int) -> int:
    """Return the peak memory of a process since its start or the last reset."""
    return _kilobytes(pid, "status", "VmHWM") * KB


def reset_peak(pid: int) -> None:
    """Reset the peak to the current memory (proc(5), clear_refs)."""
    (PROC / str(pid) / "clear_refs").write_text("5")


def _kilobytes(pid: int, file: str, name: str) -> int:
    for line in (PROC / str(pid) / file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    raise ValueError(f"/proc/{pid}/{file} has no line {name}")
