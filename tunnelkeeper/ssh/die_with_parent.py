"""Run a command that ends with us, whatever ends us: a program of its own, between us and it.

    python bound.py PARENT DESCRIPTORS COMMAND...

PARENT is the process to end with, DESCRIPTORS the soft limit of open files that the command gets
back. On Linux the kernel then sends SIGTERM to the command when the thread that started it ends
(prctl(2), PR_SET_PDEATHSIG): ours is the main thread, which ends with the process, also by SIGKILL.
Elsewhere, and for what the command starts in turn or for a set-user-ID program, the end of its
standard input has to do. It is not done between fork and exec: a process with threads must not run
Python there. It imports nothing of the package, as it is run for each proxy command.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def command_line(command: list[str], fd_limit: int) -> list[str]:
    """The command line that runs a command so."""
    # Nothing of the user's Python environment, and no site-packages, to start soon.
    start = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(fd_limit)]
    return [*start, *command]


def main(parent: int, fd_limit: int, command: list[str]) -> None:
    """Bind this process to its parent, and become the command."""
    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (fd_limit, hard))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it has ended already
            sys.exit(1)
    # Python ignores SIGPIPE, and what is ignored stays so over exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606  the command brings its own shell
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
