"""The resources of a process: memory, descriptors, threads, children; compared over time."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.e2e.server_process import is_running

SLACK = 12 * 1024 * 1024
"""Bytes by which a first failure may grow a process: code loaded for it, larger buffers."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """The resources of a process at one moment. memory: bytes, with its share of shared pages."""

    memory: int
    descriptors: int
    threads: int
    children: int

    @classmethod
    def of(cls, pid: int) -> Footprint:
        """Measure a process."""
        process = psutil.Process(pid)
        children = [c for c in process.children(recursive=True) if is_running(c) and not _guards(c)]
        return cls(_memory(process), process.num_fds(), process.num_threads(), len(children))

    def fits(self, before: Footprint, slack: int = SLACK) -> bool:
        """Return whether no resource has grown, but memory by at most slack bytes."""
        return (
            self.memory <= before.memory + slack
            and self.descriptors <= before.descriptors
            and self.threads <= before.threads
            and self.children <= before.children
        )

    def __str__(self) -> str:
        return (
            f"{self.memory / 1e6:.1f} MB, {self.descriptors} descriptors, "
            f"{self.threads} threads, {self.children} children"
        )


def _guards(process: psutil.Process) -> bool:
    """Return whether this is the guard, which stays from the first child to the end."""
    with suppress(psutil.NoSuchProcess):
        return process.cmdline()[-1:] == ["tunnelkeeper-guard"]
    return False


def _memory(process: psutil.Process) -> int:
    """Return the proportional set size (smaps_rollup of proc(5)), else the resident size."""
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    except OSError:
        return int(process.memory_info().rss)
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    assert found, text
    return int(found[1]) * 1024
