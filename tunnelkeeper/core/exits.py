"""The exit codes of every command; scripts build on them, so they never change."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended. The codes 1, 2, 4 and 5 are the supervisor's error codes too."""

    DONE = 0
    NOT_SO = 1
    BAD_USAGE = 2
    NO_SUPERVISOR = 3
    NO_SUCH = 4
    TIMED_OUT = 5
    INTERRUPTED = 130  # as a shell says of SIGINT: 128 + 2
