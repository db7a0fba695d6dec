"""Which hook of a tunnel is to run, and when: in order, never two at once, the last one wins.

A tunnel that goes up and down faster than its hooks run is told only where it ended up. Nothing
here runs a program.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tunnelkeeper.core.failures import Failure

Moment = Literal["up", "down"]
"""What a hook is for: on_up or on_down."""

PRIVATE_VARIABLES = frozenset(
    {
        "CREDENTIALS_DIRECTORY",
        "JOURNAL_STREAM",
        "LISTEN_FDNAMES",
        "LISTEN_FDS",
        "LISTEN_PID",
        "NOTIFY_SOCKET",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
    }
)
"""What a service manager tells the supervisor and nobody else: systemd.exec(5), sd_notify(3)."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """A reason to run a hook. state: the tunnel's, as status shows it. failure: why, if any."""

    moment: Moment
    state: str
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Turns:
    """Where a tunnel's hooks stand. told: what the last one that began was for.

    At first that is "down", so that on_down never comes before on_up. latest: the newest occasion.
    """

    told: Moment = "down"
    running: Moment | None = None
    latest: Occasion | None = None


def happened(turns: Turns, state: str, failure: Failure | None) -> Turns:
    """A tunnel is in a state. Only `up` is up: a degraded tunnel's hook hears that it is not."""
    moment: Moment = "up" if state == "up" else "down"
    # The first word about going down says why; what follows from it (connecting...) does not.
    if turns.latest is not None and turns.latest.moment == moment:
        return turns
    return replace(turns, latest=Occasion(moment, state, failure))


def next_turn(turns: Turns) -> tuple[Turns, Occasion | None]:
    """The hook to run now, if there is one."""
    latest = turns.latest
    if turns.running is not None or latest is None or latest.moment == turns.told:
        return turns, None
    return replace(turns, told=latest.moment, running=latest.moment), latest


def finished(turns: Turns) -> Turns:
    """The hook that ran is over."""
    return replace(turns, running=None)


def variables(tunnel: str, occasion: Occasion) -> dict[str, str]:
    """What a hook finds in its environment."""
    failure = occasion.failure
    return {
        "TUNNELKEEPER_TUNNEL": tunnel,
        "TUNNELKEEPER_EVENT": occasion.moment,
        "TUNNELKEEPER_STATE": occasion.state,
        "TUNNELKEEPER_CAUSE": failure.cause if failure else "",
        "TUNNELKEEPER_MESSAGE": failure.message if failure else "",
    }
