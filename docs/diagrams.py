#!/usr/bin/env python3
"""Draws ARCHITECTURE.md's diagrams by walking core.lifecycle.step, so that they cannot go stale.

    python docs/diagrams.py            print the diagrams
    python docs/diagrams.py --write    put them into ARCHITECTURE.md, between its markers

It invents nothing: what `step` does not do is not drawn.
"""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from docs.sections import markers, put_between
from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.lifecycle import (
    ConnectionUnhealthy,
    DeadlineReached,
    Drained,
    Event,
    ForwardsChanged,
    HostChanged,
    NetworkChanged,
    ReplacementReady,
    Restart,
    RestartGracefully,
    RetryNow,
    SecondSessionEnded,
    SessionEnded,
    SessionOpened,
    Start,
    Stop,
    step,
)
from tunnelkeeper.core.retry_policy import RetryPolicy
from tunnelkeeper.core.states import (
    Closing,
    Connecting,
    Degraded,
    Draining,
    NoReplacement,
    Replacement,
    ReplacementBackoff,
    ReplacementConnecting,
    State,
    Stopped,
    Stopping,
    Up,
    is_wanted,
    replacement_of,
    state_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ARCHITECTURE = Path(__file__).resolve().parent.parent / "ARCHITECTURE.md"
BEGIN, END = markers("states")

BETWEEN = """What is beside the connection in use, while a tunnel is up or degraded: nothing;
another one that arrives, or failed to and is delayed; or the one before it, which leaves and is
dismissed."""

LONG = 1e6
"""Seconds between two events of the walk: every deadline has come by then."""

PASSING = Failure(Cause.LOST, "")
FOR_A_PERSON = Failure(Cause.AUTH, "")
PATIENT = RetryPolicy(max_lifetime=60)
IMPATIENT = RetryPolicy(max_attempts=1)


@dataclass(frozen=True, slots=True)
class Occasion:
    """Something that may happen, in the words of the picture."""

    words: str
    event: Event
    policy: RetryPolicy = PATIENT


OCCASIONS = (
    Occasion("start", Start()),
    Occasion("restart", Restart()),
    Occasion("restart --graceful", RestartGracefully()),
    Occasion("way changed", HostChanged()),
    Occasion("nudged", RetryNow()),
    Occasion("moved", NetworkChanged()),
    Occasion("stop", Stop()),
    Occasion("checks fail", ConnectionUnhealthy()),
    Occasion("opened", SessionOpened()),
    Occasion("opened, a forward failed", SessionOpened(PASSING)),
    Occasion("forwards recovered", ForwardsChanged()),
    Occasion("a forward failed", ForwardsChanged(PASSING)),
    Occasion("passing failure", SessionEnded(PASSING)),
    Occasion("failure for a person", SessionEnded(FOR_A_PERSON)),
    Occasion("max_attempts", SessionEnded(PASSING), IMPATIENT),
    Occasion("wait over", DeadlineReached()),
    Occasion("replacement is ready", ReplacementReady()),
    Occasion("transfers are done", Drained()),
    Occasion("it ended", SecondSessionEnded(PASSING)),
)


SECOND_NAMES: dict[type[Replacement], str] = {
    NoReplacement: "alone",
    ReplacementConnecting: "arriving",
    ReplacementBackoff: "delayed",
    Draining: "leaving",
    Closing: "dismissed",
}


def words_for(occasion: Occasion, state: State, after: State) -> str:
    """What an occasion is called where it leads from one state to another."""
    match occasion.event, state, after:
        case RestartGracefully(), _, (Connecting() | Stopping()):
            return "restart"
        case SessionOpened(failure=failure), (Up() | Degraded()), _:
            return "a forward failed" if failure else "forwards recovered"
        case ((SessionEnded() | SecondSessionEnded()), Stopping(), _):
            return "closed, wanted again" if is_wanted(state) else "closed"
        case SessionEnded(), (Up() | Degraded()), (Connecting() | Stopping()):
            return "lost while it is replaced"
        case SessionEnded(), (Up() | Degraded()), (Up() | Degraded()):
            return "the new one ended"
        case DeadlineReached(), (Up() | Degraded()), _:
            return DEADLINES[type(replacement_of(state))]
    return occasion.words


DEADLINES: dict[type[Replacement], str] = {
    NoReplacement: "max_lifetime",
    ReplacementBackoff: "wait over",
    Draining: "drain_timeout",
}


def walk() -> Iterator[tuple[State, Occasion, State]]:
    """Every occasion in every kind of state, and the state that follows."""
    seen: set[tuple[type[State], bool, type[Replacement]]] = set()
    ahead: deque[tuple[State, float]] = deque([(Stopped(), 0.0)])
    while ahead:
        state, now = ahead.popleft()
        kind = type(state), is_wanted(state), type(replacement_of(state))
        if kind in seen:
            continue
        seen.add(kind)
        for occasion in OCCASIONS:
            after, _ = step(state, occasion.event, now + LONG, occasion.policy)
            yield state, occasion, after
            # What gave up for good would stand for all that is blocked, and is moved by less.
            if occasion.policy is PATIENT:
                ahead.append((after, now + LONG))


Edges = dict[tuple[str, str], list[str]]


def transitions() -> Edges:
    """What leads from one state's name to another's, in words."""
    edges: Edges = {}
    for state, occasion, after in walk():
        if state_name(after) != state_name(state):
            _add(edges, state_name(state), state_name(after), words_for(occasion, state, after))
    return edges


def replacements() -> Edges:
    """The same for what is beside the connection in use, as long as the tunnel is up."""
    edges: Edges = {}
    for state, occasion, after in walk():
        match state, after:
            case Up(replacement=before), Up(replacement=second) if type(before) is not type(second):
                source, end = SECOND_NAMES[type(before)], SECOND_NAMES[type(second)]
                _add(edges, source, end, words_for(occasion, state, after))
    return edges


def _add(edges: Edges, source: str, end: str, word: str) -> None:
    words = edges.setdefault((source, end), [])
    if word not in words:
        words.append(word)


def states() -> str:
    """The life of a tunnel, as a Mermaid state diagram."""
    return _diagram("stopped", transitions())


def replacement() -> str:
    """What becomes of the second connection of a tunnel, as a Mermaid state diagram."""
    return _diagram("alone", replacements())


def _diagram(first: str, edges: Edges) -> str:
    lines = [
        f"    {source} --> {end}: {', '.join(words)}" for (source, end), words in edges.items()
    ]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {first}", *lines])


def drawn_into(text: str) -> str:
    """A text with the pictures between its markers.

    Raises ValueError where the markers are missing.
    """
    pictures = f"```mermaid\n{states()}\n```\n\n{BETWEEN}\n\n```mermaid\n{replacement()}\n```"
    return put_between(BEGIN, END, text, pictures)


def main(arguments: list[str]) -> None:
    """Print the diagrams, or write them down."""
    if arguments == ["--write"]:
        ARCHITECTURE.write_text(drawn_into(ARCHITECTURE.read_text()))
    elif arguments:
        sys.exit(f"usage: {sys.argv[0]} [--write]")
    else:
        sys.stdout.write(f"{states()}\n\n{replacement()}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
