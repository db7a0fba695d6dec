"""What the service manager is told of the tunnels: one line of status, and when all is ready. Pure.

It is the picture that `systemctl status` shows beside "active (running)".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from tunnelkeeper.core.snapshot import StateName, TunnelSnapshot
    from tunnelkeeper.systemd.unit_templates import Ready

STATUS_LIMIT = 240
"""Characters of the line; the manager takes 4096 bytes for all of a message."""

TOLD_LIMIT = 3
"""So many of the tunnels that are not up are named."""

_REASON_LIMIT = 90
_WORST_FIRST: tuple[StateName, ...] = ("blocked", "degraded", "backoff", "connecting", "stopping")


def status_line(tunnels: Iterable[TunnelSnapshot]) -> str:
    """How many of the wanted tunnels are up, and why the others are not."""
    wanted = [tunnel for tunnel in tunnels if tunnel.wanted]
    if not wanted:
        return "no tunnel is wanted"
    away = [tunnel for tunnel in wanted if tunnel.state != "up"]
    away.sort(key=_badness)
    parts = [f"{len(wanted) - len(away)} of {len(wanted)} up"]
    parts += [f"{tunnel.name}: {_reason(tunnel)}" for tunnel in away[:TOLD_LIMIT]]
    if len(away) > TOLD_LIMIT:
        parts.append(f"{len(away) - TOLD_LIMIT} more")
    return printable("; ".join(parts), STATUS_LIMIT)


def is_ready(
    ready: Ready,
    started: Collection[str],
    tunnels: Mapping[str, TunnelSnapshot],
    tried: Collection[str],
) -> bool:
    """Whether all tunnels that the service started with are as far as `ready` asks for.

    One that a person stopped, or a reload took away meanwhile, is not waited for. tried: those that
    were seen at the end of an attempt.
    """
    awaited = [name for name in started if name in tunnels]
    if ready == "up":
        return all(tunnels[n].state == "up" or _was_stopped(tunnels[n], tried) for n in awaited)
    return all(name in tried for name in awaited)


def was_tried(tunnel: TunnelSnapshot) -> bool:
    """Whether what is told of a tunnel, for the first time or later, is more than a beginning."""
    return tunnel.state != "connecting" or tunnel.attempt > 1


def _was_stopped(tunnel: TunnelSnapshot, tried: Collection[str]) -> bool:
    return not tunnel.wanted and tunnel.name in tried


def _badness(tunnel: TunnelSnapshot) -> int:
    return _WORST_FIRST.index(tunnel.state) if tunnel.state in _WORST_FIRST else len(_WORST_FIRST)


def _reason(tunnel: TunnelSnapshot) -> str:
    if tunnel.failure is None:
        return tunnel.state
    return printable(f"{tunnel.failure.cause}: {tunnel.failure.message}", _REASON_LIMIT)
