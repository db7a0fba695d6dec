"""Which hook of a tunnel is to run, and when: in order, never two at once, the last one wins.

A tunnel that goes up and down faster than its hooks run is told only where it ended up. Nothing
here runs a program.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tunnelkeeper.core.failures import Failure

HookKind = Literal["up", "down"]
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
class HookEvent:
    """A reason to run a hook. state: the tunnel's, as status shows it. failure: why, if any."""

    kind: HookKind
    state: str
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class HookQueue:
    """Where a tunnel's hooks stand. told: what the last one that began was for.

    At first that is "down", so that on_down never comes before on_up. latest: the newest occasion.
    """

    last_run: HookKind = "down"
    running: HookKind | None = None
    latest: HookEvent | None = None


def on_state(queue: HookQueue, state: str, failure: Failure | None) -> HookQueue:
    """A tunnel is in a state. Only `up` is up: a degraded tunnel's hook hears that it is not."""
    kind: HookKind = "up" if state == "up" else "down"
    # The first word about going down says why; what follows from it (connecting...) does not.
    if queue.latest is not None and queue.latest.kind == kind:
        return queue
    return replace(queue, latest=HookEvent(kind, state, failure))


def next_due(queue: HookQueue) -> tuple[HookQueue, HookEvent | None]:
    """The hook to run now, if there is one."""
    latest = queue.latest
    if queue.running is not None or latest is None or latest.kind == queue.last_run:
        return queue, None
    return replace(queue, last_run=latest.kind, running=latest.kind), latest


def on_finished(queue: HookQueue) -> HookQueue:
    """The hook that ran is over."""
    return replace(queue, running=None)


def variables(tunnel: str, event: HookEvent) -> dict[str, str]:
    """What a hook finds in its environment."""
    failure = event.failure
    return {
        "TUNNELKEEPER_TUNNEL": tunnel,
        "TUNNELKEEPER_EVENT": event.kind,
        "TUNNELKEEPER_STATE": event.state,
        "TUNNELKEEPER_CAUSE": failure.cause if failure else "",
        "TUNNELKEEPER_MESSAGE": failure.message if failure else "",
    }
