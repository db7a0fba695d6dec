"""The exit codes of every command. Scripts depend on them, so they never change."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended. The codes 1, 2, 4 and 5 are the supervisor's error codes too."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_SUPERVISOR = 3
    NOT_FOUND = 4
    TIMED_OUT = 5
    INTERRUPTED = 130  # as shells report SIGINT: 128 + 2
