"""What a process holds: memory, descriptors, threads, children; and whether it gave it back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.e2e.server_process import runs

SLACK = 12 * 1024 * 1024
"""Bytes that a first failure may leave behind: code that was loaded for it, buffers that grew."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process held at a moment. memory: bytes of its own, its share of what is shared."""

    memory: int
    descriptors: int
    threads: int
    children: int

    @classmethod
    def of(cls, pid: int) -> Footprint:
        """Return what the process holds now."""
        process = psutil.Process(pid)
        children = [child for child in process.children(recursive=True) if runs(child)]
        return cls(_memory(process), process.num_fds(), process.num_threads(), len(children))

    def fits(self, before: Footprint, slack: int = SLACK) -> bool:
        """Whether it is no more than it was, but for some memory."""
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


def _memory(process: psutil.Process) -> int:
    """Return the proportional set size (smaps_rollup of proc(5)), else the resident size."""
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    except OSError:
        return int(process.memory_info().rss)
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    assert found, text
    return int(found[1]) * 1024
