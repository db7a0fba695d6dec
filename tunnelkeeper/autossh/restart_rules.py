"""What autossh(1) does when a run of ssh ends: go on, with or without a wait, or end itself.

A run begins with the way to the server and ends with its loss, with a failure to get there, or with
the end of what was run there; its status is the one that ssh would exit with. Pure: the time is
handed in, in monotonic seconds, so a clock that is set changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from tunnelkeeper.autossh.environment import NO_LIMIT

EXIT_STATUS_LOST = 255
"""ssh's exit status for every trouble of its own."""

EXIT_OK, EXIT_FAILED = 0, 1
"""autossh's exit codes: it hands no status on."""

IMMEDIATE_RESTARTS = 5
MIN_RUN = 10.0
"""Short runs in a row that are started again at once, and the least length (seconds) of a run that
is not short: autossh.c, grace_time()."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the line and the environment ask for. Times are seconds; gate_time 0: no gate.

    strict: autossh's gate, to the letter. Else a first run that fails within the gate time ends the
    program only where its cause is known to need a person.
    """

    gate_time: float
    poll: float
    max_starts: int = NO_LIMIT
    strict: bool = False


@dataclass(frozen=True, slots=True)
class ProgramExit:
    """End with a code. words: for the log."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class NextRun:
    """Start again after a wait in seconds, as autossh waits. words: for the log."""

    wait: float
    message: str


@dataclass(frozen=True, slots=True)
class RunHistory:
    """The runs so far. started_at: the last one's start; short: how many in a row were short."""

    rules: Rules
    starts: int = 0
    started_at: float = -inf
    short_runs: int = 0

    @property
    def may_start(self) -> bool:
        """Whether AUTOSSH_MAXSTART leaves another run."""
        return self.rules.max_starts == NO_LIMIT or self.starts < self.rules.max_starts

    def with_start(self, now: float) -> RunHistory:
        """A run begins."""
        short = self.short_runs + 1 if now - self.started_at < self._min_run else 0
        return replace(self, starts=self.starts + 1, started_at=now, short_runs=short)

    def on_exit(
        self, status: int, now: float, *, needs_user: bool = False
    ) -> ProgramExit | NextRun:
        """What follows when the last run ended. for_a_person: trying again soon cannot help."""
        gate = self.rules.gate_time
        gated = self.starts == 1 and gate > 0 and now - self.started_at <= gate
        if gated and (self.rules.strict or needs_user or status not in {EXIT_OK, EXIT_STATUS_LOST}):
            message = f"ssh exited prematurely with status {status}; autossh exiting"
            return ProgramExit(EXIT_FAILED, message)
        if status == EXIT_OK:
            return ProgramExit(EXIT_OK, "ssh exited with status 0; autossh exiting")
        # ssh exits with 1 or 2 for troubles of its own too: autossh.c, ssh_wait().
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
    """The wait before a run that follows so many short ones: whole seconds, up to the poll time."""
    if short_runs <= IMMEDIATE_RESTARTS:
        return 0.0
    further = short_runs - IMMEDIATE_RESTARTS
    return float(min(int(poll / 100 * (further * (further / 3))), poll))
