"""A soak run: rounds of faults by chance, each round healed before the next, between quiet moments.

The run has two parts. In the first anything may happen; in the second no process of ours is killed,
so that what each of them holds in the end can be compared with what it held at its beginning.
"""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults.footprint import Footprint
from tests.faults.proof import BACKOFF, CONNECTING, REMOTE_PORT_RETRY, UNANSWERED_KEEPALIVES
from tests.faults.soak.faults import FAULTS, SUPERVISOR_FAULTS, SupervisorFault, server_killed
from tests.faults.soak.judge import Bounds, Excuse
from tests.faults.soak.quiet import MOST_CPU, grown, watched
from tests.faults.soak.summary import Allowed
from tests.faults.soak.watch import PATIENCE, Violation, Watch

if TYPE_CHECKING:
    from random import Random

    from tests.faults.soak.chronicle import Chronicle
    from tests.faults.soak.entries import Entry
    from tests.faults.soak.faults import Fault
    from tests.faults.soak.stage import Place, Stage
    from tests.faults.soak.summary import Quiet, Summary

MARGIN = 15.0
"""Seconds that everything may take longer than it should: the machine may be busy with others."""

SHORT = (0.0, 10.0)
LONG = (30.0, 45.0)
"""Seconds of a fault, from and to. Short ones end in the middle of things; a long one exposes a
supervisor that calls a dead tunnel up, since it is longer than BOUNDS.lie."""

LONG_ONES = 0.2
"""Of the rounds."""

CALM = 3.0
"""Seconds between two rounds, at most."""

FIRST_PART = 0.3
"""Of the time: in it processes of ours are killed, too."""

AT_ONCE = 3
"""Faults of a round, at most: each at a place of its own, and one of the supervisor."""

BOUNDS = Bounds(
    # A client gives up after PATIENCE, and only then comes on a connection of its own again.
    lie=UNANSWERED_KEEPALIVES.seconds + PATIENCE + MARGIN,
    peace=PATIENCE + MARGIN,
    control=MARGIN,
)

FAULT_WORDS = re.compile(r"internal (?:fault|error)|Traceback")


def returns_within(entry: Entry) -> float:
    """Seconds from the end of all faults in which an entry has to carry data.

    A death may have to be noticed yet; at each hop an attempt may be under way that leads nowhere;
    a server may still hold the port for the session before.
    """
    seconds = UNANSWERED_KEEPALIVES.seconds + MARGIN
    seconds += entry.hops * (CONNECTING.seconds + BACKOFF.seconds)
    return seconds + (REMOTE_PORT_RETRY.seconds if entry.remote else 0.0)


def allowed(entries: list[Entry]) -> Allowed:
    """Return the bounds of a run, for its summary."""
    longest = max(map(returns_within, entries))
    return Allowed(BOUNDS.lie, BOUNDS.peace, BOUNDS.control, longest)


@dataclass(slots=True)
class Run:
    """One run on a stage. quiet: seconds of each quiet moment."""

    stage: Stage
    watch: Watch
    chronicle: Chronicle
    chance: Random
    summary: Summary
    quiet: float = 10.0

    def play(self, seconds: float) -> None:
        """Run faults for this many seconds, and the quiet moments. Raises Violation."""
        self._heals(self.watch.begin(Excuse(self._everyone)), [])
        self._rests("at the beginning")
        self._rounds(FIRST_PART * seconds, may_kill=True)
        before = self._rests("after the first part")
        self._rounds((1 - FIRST_PART) * seconds, may_kill=False)
        after = self._rests("at the end")
        for then, now in zip(before, after, strict=True):
            if more := grown(then, now):
                raise Violation(more)

    @property
    def _everyone(self) -> frozenset[str]:
        return frozenset(entry.name for entry in self.stage.entries)

    # -- a round -----------------------------------------------------------------------------------

    def _rounds(self, seconds: float, *, may_kill: bool) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._round(may_kill=may_kill)
            self.summary.rounds += 1
            self.watch.begin()
            self.watch.wait(self.chance.uniform(0.0, CALM))

    def _round(self, *, may_kill: bool) -> None:
        chosen, supervisor_fault = self._choose(may_kill=may_kill)
        names = [f"{fault.name} ({place.name})" for fault, place in chosen]
        hurt = frozenset(
            entry.name
            for entry in self.stage.entries
            if entry.places & {place.name for _, place in chosen}
        )
        excuse = Excuse(hurt)
        if supervisor_fault is not None:
            names.append(supervisor_fault.name)
            excuse |= supervisor_fault.excuse(self._everyone)
        seconds = self.chance.uniform(*(LONG if self.chance.random() < LONG_ONES else SHORT))
        self.chronicle.tell(f"{', '.join(names)}, for {seconds:.1f} s")
        self.watch.begin(excuse)
        with ExitStack() as stack:
            for fault, place in chosen:
                stack.enter_context(fault.act(self.stage, place, self.chance))
            if supervisor_fault is not None:
                stack.enter_context(supervisor_fault.act(self.stage, self.chance))
            self.watch.wait(seconds)
        faults = [fault.name for fault, _ in chosen]
        if supervisor_fault is not None:
            faults.append(supervisor_fault.name)
        lasting = Excuse(excuse.hurt)
        self._heals(self.watch.begin(lasting), faults)
        self._log_is_clean()

    def _choose(
        self, *, may_kill: bool
    ) -> tuple[list[tuple[Fault, Place]], SupervisorFault | None]:
        """Choose what happens in a round: at least one fault."""
        places = self.chance.sample(list(self.stage.places.values()), self.chance.randint(0, 2))
        chosen = [(self._fault(place, may_kill=may_kill), place) for place in places]
        if chosen and self.chance.random() < 1 / 2:
            return chosen, None
        of_supervisor = [each for each in SUPERVISOR_FAULTS if may_kill or not each.renews]
        return chosen, self.chance.choice(of_supervisor)

    def _fault(self, place: Place, *, may_kill: bool) -> Fault:
        ours = place.name == "r"
        kills = {server_killed} if ours and not may_kill else set()
        return self.chance.choice([fault for fault in FAULTS if fault.act not in kills])

    def _heals(self, since: float, faults: list[str]) -> None:
        """Insist that data flows through every entry again in time, and take the time."""
        slowest = 0.0
        for entry in sorted(self.stage.entries, key=returns_within):
            within = returns_within(entry)
            left = within - (time.monotonic() - since)
            if not self.watch.wait_until_well(entry.name, since, left):
                raise Violation(f"{entry.name} is not well {within:.0f} s after the faults' end")
            slowest = max(slowest, time.monotonic() - since)
        self.chronicle.tell(f"    all is well after {slowest:.1f} s")
        self.chronicle.note(f"the supervisor holds {Footprint.of(self.stage.pid)}")
        for fault in dict.fromkeys(faults):
            self.summary.returns.setdefault(fault, []).append(slowest)

    def _log_is_clean(self) -> None:
        logs: list[tuple[str, str]] = [("supervisor", self.stage.program.log())]
        logs.append(("relay", self.stage.places["r"].server.log()))
        for who, text in logs:
            if found := FAULT_WORDS.search(text):
                raise Violation(f"the log of the {who} has: {text[found.start() :][:500]}")

    # -- a quiet moment ----------------------------------------------------------------------------

    def _rests(self, when: str) -> list[Quiet]:
        """Nothing is sent and all is up: what the supervisor and our relay hold and use."""
        self.watch.rest()
        self.chronicle.tell(f"quiet for {self.quiet:g} s, {when}")
        self.watch.wait(
            UNANSWERED_KEEPALIVES.seconds
        )  # for what is dead to be noticed by the relay
        self.watch.wait_until(self._is_quiet, MARGIN)
        relay = self.stage.places["r"].server
        processes = {"supervisor": self.stage.pid, "relay": relay.pid}
        found = watched(processes, when, self.watch.wait, self.quiet)
        self.summary.quiets += found
        for quiet in found:
            if quiet.cpu > MOST_CPU:
                raise Violation(f"the {quiet.who} is idle and uses {quiet.cpu:.0%} of a core")
        self.watch.go_on()
        return found

    def _is_quiet(self) -> bool:
        tunnels = self.stage.program.status().tunnels
        return all(tunnel.state == "up" and not tunnel.connections for tunnel in tunnels)
