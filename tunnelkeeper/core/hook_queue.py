"""The order of a tunnel's hooks: one at a time, and only the latest event. It runs no program.

If a tunnel goes up and down faster than its hooks run, only the last state is reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from tunnelkeeper.core.failures import Failure

HookKind = Literal["up", "down"]
"""The hook to run: on_up or on_down."""

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
"""Variables that a service manager sets for the supervisor only: systemd.exec(5), sd_notify(3)."""


class HookEvent(Struct, frozen=True):
    """An event that runs a hook. state: the tunnel's, as status shows it. failure: why, if any."""

    kind: HookKind
    state: str
    failure: Failure | None = None


class HookQueue(Struct, frozen=True):
    """The hooks of one tunnel. last_run: the hook that started last. latest: the latest event.

    last_run is "down" at first, so that on_down never runs before on_up.
    """

    last_run: HookKind = "down"
    running: HookKind | None = None
    latest: HookEvent | None = None


def on_state(queue: HookQueue, state: str, failure: Failure | None) -> HookQueue:
    """Record the state of the tunnel. A degraded tunnel counts as down."""
    kind: HookKind = "up" if state == "up" else "down"
    # The first event of going down has the reason; later ones (connecting...) do not.
    if queue.latest is not None and queue.latest.kind == kind:
        return queue
    return replace(queue, latest=HookEvent(kind, state, failure))


def next_due(queue: HookQueue) -> tuple[HookQueue, HookEvent | None]:
    """Return the queue and the hook to run now, if any."""
    latest = queue.latest
    if queue.running is not None or latest is None or latest.kind == queue.last_run:
        return queue, None
    return replace(queue, last_run=latest.kind, running=latest.kind), latest


def on_finished(queue: HookQueue) -> HookQueue:
    """Record that the running hook has finished."""
    return replace(queue, running=None)


def variables(tunnel: str, event: HookEvent) -> dict[str, str]:
    """Return the environment variables of a hook."""
    failure = event.failure
    return {
        "TUNNELKEEPER_TUNNEL": tunnel,
        "TUNNELKEEPER_EVENT": event.kind,
        "TUNNELKEEPER_STATE": event.state,
        "TUNNELKEEPER_CAUSE": failure.cause if failure else "",
        "TUNNELKEEPER_MESSAGE": failure.message if failure else "",
    }
