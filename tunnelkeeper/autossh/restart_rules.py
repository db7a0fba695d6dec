"""The rules of autossh(1) for the end of an ssh run: restart, wait first, or exit. It has no clock.

A run begins with a connection attempt. It ends when the attempt fails, the connection is lost, or
the remote command exits. Its status is the one that ssh would exit with. Times are monotonic
seconds, so setting the clock has no effect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from tunnelkeeper.autossh.environment import NO_LIMIT

EXIT_STATUS_LOST = 255
"""ssh's exit status for its own errors."""

EXIT_OK, EXIT_FAILED = 0, 1
"""autossh's exit codes. It does not pass on the status of ssh."""

IMMEDIATE_RESTARTS = 5
MIN_RUN = 10.0
"""Consecutive short runs that are restarted without delay, and the shortest duration (seconds) of a
run that is not short: autossh.c, grace_time()."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules set by the command line and the environment. Times are seconds.

    gate_time: 0 disables it. strict: follow autossh's gate time exactly. Otherwise a first run that
    fails within the gate time ends the program only if a user must resolve the failure.
    """

    gate_time: float
    poll: float
    max_starts: int = NO_LIMIT
    strict: bool = False


@dataclass(frozen=True, slots=True)
class ProgramExit:
    """Exit with a code. message, hint: for the log.

    is_error: log it as an error. autossh logs only an exit within the gate time as one.
    """

    code: int
    message: str
    is_error: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True)
class NextRun:
    """Start again after a delay in seconds. message: for the log."""

    wait: float
    message: str


@dataclass(frozen=True, slots=True)
class RunHistory:
    """The runs so far. started_at: start of the last one. short_runs: consecutive short runs."""

    rules: Rules
    starts: int = 0
    started_at: float = -inf
    short_runs: int = 0

    @property
    def may_start(self) -> bool:
        """Whether AUTOSSH_MAXSTART permits another run."""
        return self.rules.max_starts == NO_LIMIT or self.starts < self.rules.max_starts

    def with_start(self, now: float) -> RunHistory:
        """Record the start of a run."""
        short = self.short_runs + 1 if now - self.started_at < self._min_run else 0
        return replace(self, starts=self.starts + 1, started_at=now, short_runs=short)

    def is_gated(self, now: float) -> bool:
        """Return whether a run that ends now is the first one and within the gate time."""
        gate = self.rules.gate_time
        return self.starts == 1 and gate > 0 and now - self.started_at <= gate

    def on_exit(
        self, status: int, now: float, *, needs_user: bool = False
    ) -> ProgramExit | NextRun:
        """Return what follows the end of a run. needs_user: only a user can resolve the failure."""
        gate = self.rules.gate_time
        is_final = needs_user or status not in {EXIT_OK, EXIT_STATUS_LOST}
        if self.is_gated(now) and (self.rules.strict or is_final):
            message = f"ssh exited prematurely with status {status}; autossh exiting"
            return ProgramExit(EXIT_FAILED, message, is_error=True)
        if status == EXIT_OK:
            return ProgramExit(EXIT_OK, "ssh exited with status 0; autossh exiting")
        # ssh also exits with 1 or 2 for its own errors: autossh.c, ssh_wait().
        if status in {1, 2} and (self.starts > 1 or gate == 0):
            return self._restart(f"ssh exited with error status {status}; restarting ssh", now)
        if status == EXIT_STATUS_LOST:
            return self._restart("ssh exited with error status 255; restarting ssh", now)
        return ProgramExit(EXIT_FAILED, f"ssh exited with status {status}; autossh exiting")

    def _restart(self, message: str, now: float) -> ProgramExit | NextRun:
        if not self.may_start:
            return ProgramExit(EXIT_OK, "max start count reached; exiting")
        short = self.short_runs + 1 if now - self.started_at < self._min_run else 0
        return NextRun(grace_time(short, self.rules.poll), message)

    @property
    def _min_run(self) -> float:
        return max(self.rules.poll // 10, MIN_RUN)


def grace_time(short_runs: int, poll: float) -> float:
    """Return the delay after a number of short runs: whole seconds, at most the poll time."""
    if short_runs <= IMMEDIATE_RESTARTS:
        return 0.0
    excess = short_runs - IMMEDIATE_RESTARTS
    return float(min(int(poll / 100 * (excess * (excess / 3))), poll))
