"""The actions on tunnels: the request, what it asks first, and what undoes it. Pure.

An action on one tunnel asks nothing, since the result says what undoes it. An action asks if it is
on several tunnels, or if nothing undoes it: a stop ends a tunnel that is in no config file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.status_bar import WAITING
from tunnelkeeper.dashboard.ui_state import TunnelAction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.snapshot import TunnelSnapshot
    from tunnelkeeper.dashboard.command_parser import TunnelVerb


class NoTargetError(Exception):
    """Raised for an action that applies to no tunnel."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An action and the question that the user has to confirm first. Empty: none."""

    action: TunnelAction
    question: str


def plan_action(
    verb: TunnelVerb, tunnels: Sequence[TunnelSnapshot], *, graceful: bool, is_named: bool
) -> Plan:
    """Return the action of a verb on tunnels.

    Args:
        verb: a retry applies only to the tunnels that wait.
        tunnels: the tunnels that the user has selected, marked or named.
        graceful: applies to a restart.
        is_named: whether a command named the tunnels.

    Raises:
        NoTargetError: with a message for the user.
    """
    if verb == "retry":
        tunnels = [tunnel for tunnel in tunnels if tunnel.state in WAITING]
        if not tunnels:
            raise NoTargetError("no tunnel is waiting to retry")
    if not tunnels:
        raise NoTargetError("no tunnel is selected")
    names = tuple(tunnel.name for tunnel in tunnels)
    target = names[0] if len(names) == 1 else f"{len(names)} tunnels"
    description = f"{verb} {target}{' gracefully' if graceful else ''}"
    ended = sum(tunnel.ad_hoc for tunnel in tunnels) if verb == "stop" else 0
    asks = len(names) > 1 or ended > 0
    undo = "" if asks else _describe_undo(verb, target, is_named=is_named)
    method = "start" if verb == "retry" else verb  # a start only ends the wait
    action = TunnelAction(method, names, description, graceful, undo)
    return Plan(action, f"{description}?{_describe_end(ended, len(names))}" if asks else "")


def _describe_end(ended: int, count: int) -> str:
    """Return how many of the tunnels a stop ends for good. Empty if it ends none."""
    if not ended:
        return ""
    if count == 1:
        return " It is in no config file: this ends it."
    return f" This ends {'the one' if ended == 1 else f'the {ended}'} in no config file."


def _describe_undo(verb: TunnelVerb, name: str, *, is_named: bool) -> str:
    match verb:
        case "stop":
            return f":start {name}" if is_named else "s starts it again"
        case "start":
            return f":stop {name}" if is_named else "x stops it again"
    return ""
