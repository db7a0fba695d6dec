"""Text for ad-hoc tunnels: the status line of `tunnelkeeper forward`, and marks elsewhere. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.presentation.formatting import format_size, time_since, time_until
from tunnelkeeper.presentation.tunnel_text import first_failure, format_progress

if TYPE_CHECKING:
    from datetime import datetime

    from tunnelkeeper.core.snapshot import TunnelSnapshot

_CONNECTED = frozenset({"up", "degraded"})


def status_line(tunnel: TunnelSnapshot, now: datetime, *, has_been_up: bool) -> str:
    """Return the state, the addresses here, the traffic and the clients of a tunnel.

    The parts stand in the order of their importance, for terminals that cut the line.
    has_been_up: whether the tunnel was up before.
    """
    parts = [_state_text(tunnel, now, has_been_up=has_been_up), _addresses(tunnel)]
    if tunnel.state in _CONNECTED or tunnel.connections_total:
        parts += [
            f"in {format_size(tunnel.bytes_in)}, out {format_size(tunnel.bytes_out)}",
            _count(tunnel.connections, "client"),
        ]
    if tunnel.ends_at is not None:
        parts.append(f"ends in {time_until(tunnel.ends_at, now)}")
    return printable(" | ".join(filter(None, parts)))


def forward_lines(tunnel: TunnelSnapshot) -> list[str]:
    """Return a line for each forward: where clients connect, and where that leads."""
    return [
        printable(
            f"{_side(forward.kind)}{forward.listen} -> {forward.connect or 'any target (SOCKS)'}"
        )
        for forward in tunnel.forwards
    ]


def format_ad_hoc(tunnel: TunnelSnapshot, now: datetime) -> str:
    """Return that a tunnel is ad-hoc and when it ends; empty for one of the config file."""
    if not tunnel.ad_hoc:
        return ""
    end = f", ends in {time_until(tunnel.ends_at, now)}" if tunnel.ends_at is not None else ""
    return f"ad-hoc{end}"


def _side(kind: str) -> str:
    return "on the server, " if kind == "remote" else ""


def _state_text(tunnel: TunnelSnapshot, now: datetime, *, has_been_up: bool) -> str:
    connecting = "reconnecting" if has_been_up else "connecting"
    failure = first_failure(tunnel)
    cause = failure.cause if failure is not None else ""
    match tunnel.state:
        case "up":
            return f"up {time_since(tunnel.since, now)}"
        case "degraded":
            return f"degraded {time_since(tunnel.since, now)}: {cause}"
        case "connecting":
            step = format_progress(tunnel.progress) if tunnel.progress else ""
            return ": ".join(filter(None, (connecting, cause, step)))
        case "backoff":
            return f"{connecting}: {cause}, next try in {_wait(tunnel, now)}"
        case "blocked" if tunnel.retry_at is not None:
            return f"blocked: {cause}, next try in {_wait(tunnel, now)}"
        case "blocked":
            return f"blocked: {cause}"
    return tunnel.state


def _wait(tunnel: TunnelSnapshot, now: datetime) -> str:
    return "0s" if tunnel.retry_at is None else time_until(tunnel.retry_at, now)


def _addresses(tunnel: TunnelSnapshot) -> str:
    """Return the first address to connect to, and how many more there are."""
    here = [forward.listen for forward in tunnel.forwards if forward.kind != "remote"]
    there = [f"{forward.listen} there" for forward in tunnel.forwards if forward.kind == "remote"]
    first, *more = [*here, *there] or [""]
    return f"{first} +{len(more)}" if more else first


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
