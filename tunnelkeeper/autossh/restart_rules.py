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

DONE, FAILED = 0, 1
"""autossh's exit codes: it hands no status on."""

QUICK_TRIES = 5
SHORTEST_RUN = 10.0
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
    words: str


@dataclass(frozen=True, slots=True)
class NextRun:
    """Start again after a wait in seconds, as autossh waits. words: for the log."""

    wait: float
    words: str


@dataclass(frozen=True, slots=True)
class RunHistory:
    """The runs so far. started_at: the last one's start; short: how many in a row were short."""

    rules: Rules
    starts: int = 0
    started_at: float = -inf
    short: int = 0

    @property
    def may_start(self) -> bool:
        """Whether AUTOSSH_MAXSTART leaves another run."""
        return self.rules.max_starts == NO_LIMIT or self.starts < self.rules.max_starts

    def begin(self, now: float) -> RunHistory:
        """A run begins."""
        short = self.short + 1 if now - self.started_at < self._shortest else 0
        return replace(self, starts=self.starts + 1, started_at=now, short=short)

    def after(
        self, status: int, now: float, *, for_a_person: bool = False
    ) -> ProgramExit | NextRun:
        """What follows when the last run ended. for_a_person: trying again soon cannot help."""
        gate = self.rules.gate_time
        gated = self.starts == 1 and gate > 0 and now - self.started_at <= gate
        if gated and (self.rules.strict or for_a_person or status not in {DONE, EXIT_STATUS_LOST}):
            words = f"ssh exited prematurely with status {status}; autossh exiting"
            return ProgramExit(FAILED, words)
        if status == DONE:
            return ProgramExit(DONE, "ssh exited with status 0; autossh exiting")
        # ssh exits with 1 or 2 for troubles of its own too: autossh.c, ssh_wait().
        if status in {1, 2} and (self.starts > 1 or gate == 0):
            return self._again(f"ssh exited with error status {status}; restarting ssh", now)
        if status == EXIT_STATUS_LOST:
            return self._again("ssh exited with error status 255; restarting ssh", now)
        return ProgramExit(FAILED, f"ssh exited with status {status}; autossh exiting")

    def _again(self, words: str, now: float) -> ProgramExit | NextRun:
        if not self.may_start:
            return ProgramExit(DONE, "max start count reached; exiting")
        short = self.short + 1 if now - self.started_at < self._shortest else 0
        return NextRun(grace(short, self.rules.poll), words)

    @property
    def _shortest(self) -> float:
        return max(self.rules.poll // 10, SHORTEST_RUN)


def grace(short: int, poll: float) -> float:
    """The wait before a run that follows so many short ones: whole seconds, up to the poll time."""
    if short <= QUICK_TRIES:
        return 0.0
    further = short - QUICK_TRIES
    return float(min(int(poll / 100 * (further * (further / 3))), poll))
