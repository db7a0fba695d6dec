"""Runs a module in namespaces of its own: network, mounts and processes.

What it starts, mounts and ends does not touch this machine. It needs root.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

INSIDE = "--inside"
NAMESPACES = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def run_inside(module: str, play: Callable[[], None]) -> None:
    """Run this process's module again in the namespaces; there, play."""
    if sys.argv[1:] == [INSIDE]:
        play()
    elif os.geteuid() != 0:
        sys.exit("namespaces need root")
    else:
        program = [sys.executable, "-m", module, INSIDE]
        sys.exit(subprocess.run([*NAMESPACES, *program], check=False).returncode)
