"""A small program that runs a command so that it ends with us, even if we are killed.

    python die_with_parent.py PARENT FD_LIMIT COMMAND...

PARENT is the process to end with. FD_LIMIT is the soft limit of open files that the command gets
back. On Linux the kernel sends SIGTERM to the command when the thread that started it ends
(prctl(2), PR_SET_PDEATHSIG). That is our main thread, which ends with the process, also by SIGKILL.
On other systems, for children of the command, and for set-user-ID programs, only the end of its
standard input ends the command. This is not done between fork and exec, because a process with
threads must not run Python there. It imports nothing of the package, because it runs for each proxy
command.
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
    """Return the command line that runs a command through this program."""
    # Without the user's Python environment and site-packages it starts faster.
    start = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(fd_limit)]
    return [*start, *command]


def main(parent: int, fd_limit: int, command: list[str]) -> None:
    """Tie this process to its parent, and exec the command."""
    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (fd_limit, hard))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # the parent has already ended
            sys.exit(1)
    # Python ignores SIGPIPE, and exec keeps ignored signals ignored.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606  the command brings its own shell
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
