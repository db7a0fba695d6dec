#!/usr/bin/env python3
"""Draws the states of ARCHITECTURE.md by walking core.lifecycle.step, so that they cannot go stale.

    python docs/diagrams.py            print the diagram
    python docs/diagrams.py --write    put it into ARCHITECTURE.md, between its markers

It invents nothing: what `step` does not do is not drawn.
"""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.lifecycle import (
    DeadlineReached,
    Ended,
    Event,
    ForwardsChanged,
    Moved,
    Nudged,
    Opened,
    Restart,
    Start,
    State,
    Stop,
    Stopped,
    Stopping,
    Useless,
    WayChanged,
    holds_session,
    is_wanted,
    step,
)
from tunnelkeeper.core.retries import Policy
from tunnelkeeper.daemon.view import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ARCHITECTURE = Path(__file__).resolve().parent.parent / "ARCHITECTURE.md"
BEGIN = "<!-- states: begin -->"
END = "<!-- states: end -->"

LONG = 1e6
"""Seconds between two events of the walk: every deadline has come by then."""

PASSING = Failure(Cause.LOST, "")
FOR_A_PERSON = Failure(Cause.AUTH, "")
PATIENT = Policy(max_lifetime=60)
IMPATIENT = Policy(max_attempts=1)


@dataclass(frozen=True, slots=True)
class Occasion:
    """Something that may happen, in the words of the picture."""

    words: str
    event: Event
    policy: Policy = PATIENT


OCCASIONS = (
    Occasion("start", Start()),
    Occasion("restart", Restart()),
    Occasion("way changed", WayChanged()),
    Occasion("nudged", Nudged()),
    Occasion("moved", Moved()),
    Occasion("stop", Stop()),
    Occasion("checks fail", Useless()),
    Occasion("opened", Opened()),
    Occasion("opened, a forward failed", Opened(PASSING)),
    Occasion("forwards recovered", ForwardsChanged()),
    Occasion("a forward failed", ForwardsChanged(PASSING)),
    Occasion("passing failure", Ended(PASSING)),
    Occasion("failure for a person", Ended(FOR_A_PERSON)),
    Occasion("max_attempts", Ended(PASSING), IMPATIENT),
    Occasion("wait over", DeadlineReached()),
)


def words_for(occasion: Occasion, state: State) -> str:
    """What an occasion is called in a state."""
    match occasion.event:
        case DeadlineReached() if holds_session(state):
            return "max_lifetime"
        case Ended() if isinstance(state, Stopping):
            return "closed, wanted again" if is_wanted(state) else "closed"
    return occasion.words


def walk() -> Iterator[tuple[State, Occasion, State]]:
    """Every occasion in every kind of state, and the state that follows."""
    seen: set[tuple[type[State], bool]] = set()
    ahead: deque[tuple[State, float]] = deque([(Stopped(), 0.0)])
    while ahead:
        state, now = ahead.popleft()
        kind = type(state), is_wanted(state)
        if kind in seen:
            continue
        seen.add(kind)
        for occasion in OCCASIONS:
            after, _ = step(state, occasion.event, now + LONG, occasion.policy)
            yield state, occasion, after
            # What gave up for good would stand for all that is blocked, and is moved by less.
            if occasion.policy is PATIENT:
                ahead.append((after, now + LONG))


def transitions() -> dict[tuple[str, str], list[str]]:
    """What leads from one state's name to another's, in words."""
    edges: dict[tuple[str, str], list[str]] = {}
    for state, occasion, after in walk():
        if name_of(after) != name_of(state):
            words = edges.setdefault((name_of(state), name_of(after)), [])
            if (word := words_for(occasion, state)) not in words:
                words.append(word)
    return edges


def states() -> str:
    """The life of a tunnel, as a Mermaid state diagram."""
    lines = [
        f"    {source} --> {end}: {', '.join(words)}"
        for (source, end), words in transitions().items()
    ]
    return "\n".join(["stateDiagram-v2", "    [*] --> stopped", *lines])


def drawn_into(text: str) -> str:
    """A text with the picture between its markers.

    Raises ValueError where the markers are missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"expected {BEGIN} and then {END} in {ARCHITECTURE.name}")
    return f"{before}{begin}\n```mermaid\n{states()}\n```\n{end}{after}"


def main(arguments: list[str]) -> None:
    """Print the diagram, or write it down."""
    if arguments == ["--write"]:
        ARCHITECTURE.write_text(drawn_into(ARCHITECTURE.read_text()))
    elif arguments:
        sys.exit(f"usage: {sys.argv[0]} [--write]")
    else:
        sys.stdout.write(f"{states()}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
