"""Following tunnels through events until something holds for all of them; it prints nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tunnelkeeper.control.payloads import RemovedEvent, TunnelEvent
from tunnelkeeper.core.snapshot import StatusSnapshot, TunnelSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tunnelkeeper.control.client import Client

FAILURES_ENOUGH = 3
"""After so many failed attempts in a row there is something to tell, though it goes on trying."""


def until(
    client: Client,
    names: Collection[str],
    holds: Callable[[TunnelSnapshot], bool],
    deadline: float | None,
) -> dict[str, TunnelSnapshot]:
    """Follow tunnels until a condition holds for each, or the deadline (of time.monotonic()).

    Returns how they were last seen, without those that a reload took away meanwhile.
    Raises NoSupervisor when the supervisor ends, RemoteError for an unknown name.
    """
    if not names:
        return {}
    said = client.follow("status", names=list(names))
    seen = {t.name: t for t in msgspec.json.decode(said, type=StatusSnapshot).tunnels}
    if all(map(holds, seen.values())):
        return seen
    try:
        for event in client.events(deadline):
            match event:
                case TunnelEvent(tunnel) if tunnel.name in seen:
                    seen[tunnel.name] = tunnel
                case RemovedEvent(name):
                    seen.pop(name, None)
            if all(map(holds, seen.values())):
                break
    except TimeoutError:
        pass  # what was last seen is the answer
    return seen


def is_settled(tunnel: TunnelSnapshot) -> bool:
    """Whether waiting longer for a tunnel that was just started would tell little."""
    if tunnel.state == "backoff":
        return tunnel.attempt >= FAILURES_ENOUGH
    return tunnel.state in {"up", "degraded", "blocked", "stopped"}
