"""The actions on tunnels: which request a verb becomes, and what undoes it. Pure.

One tunnel needs no confirmation, since the result says what undoes the action. Several do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.status_bar import WAITING
from tunnelkeeper.dashboard.ui_state import TunnelAction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.snapshot import TunnelSnapshot
    from tunnelkeeper.dashboard.command_parser import TunnelVerb


class NoTargetError(Exception):
    """Raised for an action that applies to no tunnel."""


def create_action(
    verb: TunnelVerb, tunnels: Sequence[TunnelSnapshot], *, graceful: bool, is_named: bool
) -> TunnelAction:
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
    undo = _describe_undo(verb, target, is_named=is_named) if len(names) == 1 else ""
    method = "start" if verb == "retry" else verb  # a start only ends the wait
    return TunnelAction(method, names, description, graceful, undo)


def needs_confirmation(action: TunnelAction) -> bool:
    """Return whether the user has to confirm an action."""
    return len(action.names) > 1


def _describe_undo(verb: TunnelVerb, name: str, *, is_named: bool) -> str:
    match verb:
        case "stop":
            return f":start {name}" if is_named else "s starts it again"
        case "start":
            return f":stop {name}" if is_named else "x stops it again"
    return ""
