"""How much memory this process can have: the machine's, its control group's, its own limit.

It reads them and sets nothing. Control groups are Linux's (cgroups(7)); MemoryMax= of a systemd
unit is the limit of one.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path, PurePosixPath

CGROUP_ROOT = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")

MIN_BUDGET = 64 * 1024 * 1024
MAX_BUDGET = 4 * 1024 * 1024 * 1024
"""Bytes of the smallest and the largest default budget."""

MACHINE_DIVISOR = 4
LIMIT_DIVISOR = 2
"""The default budget is this part of the machine's memory, or of a limit if that is less. The rest
is for the program itself, other programs in the control group, and buffers of the kernel."""


def default_budget() -> int:
    """Return the bytes that peers may make this process occupy, unless a person configured it."""
    budgets = [MAX_BUDGET]
    machine = _machine_memory()
    if machine is not None:
        budgets.append(machine // MACHINE_DIVISOR)
    limit = smallest_limit()
    if limit is not None:
        budgets.append(limit // LIMIT_DIVISOR)
    return max(MIN_BUDGET, min(budgets))


def smallest_limit(own_cgroups: Path = OWN_CGROUPS, root: Path = CGROUP_ROOT) -> int | None:
    """Return the bytes at which this process gets no more memory or is ended; None if unlimited.

    own_cgroups, root: files of Linux, for tests.
    """
    limits = [
        soft
        for soft, _ in map(resource.getrlimit, (resource.RLIMIT_AS, resource.RLIMIT_DATA))
        if soft != resource.RLIM_INFINITY
    ]
    with suppress(OSError, UnicodeDecodeError):
        for line in own_cgroups.read_text("utf-8").splitlines():
            limits += _cgroup_limits(line, root)
    machine = _machine_memory()
    # cgroup v1 reports "unlimited" as a number that no machine has.
    known = [limit for limit in limits if machine is None or limit < machine]
    return min(known, default=None)


def _cgroup_limits(line: str, root: Path) -> list[int]:
    """Return the limits of one control group and those above it. line: of /proc/self/cgroup."""
    _number, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    if not controllers:  # cgroup v2
        folder, names = root, ["memory.max", "memory.high"]
    elif "memory" in controllers.split(","):
        folder, names = root / "memory", ["memory.limit_in_bytes"]
    else:
        return []
    relative = PurePosixPath(path.lstrip("/"))
    limits = []
    for group in (relative, *relative.parents):
        for name in names:
            with suppress(OSError, ValueError):  # "max", or no such file
                limits.append(int((folder / group / name).read_text("ascii")))
    return limits


def _machine_memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):  # not on every system
        return None
