"""The STATUS= line of the service, and the decision when it is ready. Pure.

`systemctl status` shows the line below "active (running)".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from tunnelkeeper.core.snapshot import StateName, TunnelSnapshot
    from tunnelkeeper.systemd.unit_templates import Ready

STATUS_LIMIT = 240
"""Characters of the line. The manager accepts 4096 bytes per message."""

MAX_NAMED_TUNNELS = 3
"""The largest number of tunnels that the line names."""

_REASON_LIMIT = 90
_WORST_FIRST: tuple[StateName, ...] = ("blocked", "degraded", "backoff", "connecting", "stopping")


def status_line(tunnels: Iterable[TunnelSnapshot]) -> str:
    """Return how many of the wanted tunnels are up, and why the others are not."""
    wanted = [tunnel for tunnel in tunnels if tunnel.wanted]
    if not wanted:
        return "no tunnel is wanted"
    away = [tunnel for tunnel in wanted if tunnel.state != "up"]
    away.sort(key=_severity_rank)
    parts = [f"{len(wanted) - len(away)} of {len(wanted)} up"]
    parts += [f"{tunnel.name}: {_reason(tunnel)}" for tunnel in away[:MAX_NAMED_TUNNELS]]
    if len(away) > MAX_NAMED_TUNNELS:
        parts.append(f"{len(away) - MAX_NAMED_TUNNELS} more")
    return printable("; ".join(parts), STATUS_LIMIT)


def is_ready(
    ready: Ready,
    started: Collection[str],
    tunnels: Mapping[str, TunnelSnapshot],
    tried: Collection[str],
) -> bool:
    """Return whether the tunnels that the service started with satisfy `ready`.

    A tunnel that a person stopped or a reload removed does not count. tried: the tunnels whose
    first attempt has ended.
    """
    awaited = [name for name in started if name in tunnels]
    if ready == "up":
        return all(tunnels[n].state == "up" or _was_stopped(tunnels[n], tried) for n in awaited)
    return all(name in tried for name in awaited)


def has_been_tried(tunnel: TunnelSnapshot) -> bool:
    """Return whether the first attempt of a tunnel has ended."""
    return tunnel.state != "connecting" or tunnel.attempt > 1


def _was_stopped(tunnel: TunnelSnapshot, tried: Collection[str]) -> bool:
    return not tunnel.wanted and tunnel.name in tried


def _severity_rank(tunnel: TunnelSnapshot) -> int:
    return _WORST_FIRST.index(tunnel.state) if tunnel.state in _WORST_FIRST else len(_WORST_FIRST)


def _reason(tunnel: TunnelSnapshot) -> str:
    if tunnel.failure is None:
        return tunnel.state
    return printable(f"{tunnel.failure.cause}: {tunnel.failure.message}", _REASON_LIMIT)
