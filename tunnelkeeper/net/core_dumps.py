"""Keeps the memory of this process, which holds private keys, out of core files and debuggers.

Children are not affected, except that they inherit the limit, as those of ssh(1) do.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from contextlib import suppress

PR_SET_DUMPABLE = 4  # linux/prctl.h


def disable_core_dumps() -> None:
    """Set RLIMIT_CORE to 0 and, on Linux, PR_SET_DUMPABLE to 0. Errors are ignored.

    Linux does not apply the limit to a core that it pipes to a program such as systemd-coredump
    (core(5)). A process that is not dumpable (PR_SET_DUMPABLE(2const)) has no core at all, and
    other processes of its user can neither trace it nor read its memory or the files of /proc that
    need the right to trace. /proc/self stays readable for the process itself.

    A change of the user id resets the flag (to suid_dumpable of proc(5)); call this after it.
    """
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
