"""`tunnelkeeper wait`: return when tunnels are up or down. Other commands wait with it too."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
import msgspec

from tunnelkeeper.cli.names import expand_names
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.control.client_errors import NoSupervisorError
from tunnelkeeper.control.payloads import RemovedEvent, TunnelEvent
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.snapshot import StatusSnapshot, TunnelSnapshot
from tunnelkeeper.presentation.tunnel_text import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.control.client import Client
    from tunnelkeeper.core.snapshot import TunnelSnapshot

_STATE = {"up": "up", "down": "stopped"}


SETTLED_ATTEMPTS = 3
"""After this many failed attempts in a row a tunnel counts as settled, though it retries."""


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--for", "goal", type=click.Choice(["up", "down"]), default="up", show_default=True)
@click.option("--timeout", metavar="S", type=click.FloatRange(min=0), help="Give up after seconds.")
@click.pass_obj
def command(settings: Settings, names: tuple[str, ...], goal: str, timeout: float | None) -> int:
    """Wait until every NAME is up, or down; without a timeout, for ever."""
    deadline = None if timeout is None else time.monotonic() + timeout
    wanted = _STATE[goal]

    def holds(tunnel: TunnelSnapshot) -> bool:
        return tunnel.state == wanted

    with settings.client() as client:
        try:
            names = tuple(expand_names(client, names))
            seen = wait_until(client, names, holds, deadline)
        except NoSupervisorError:
            if goal == "up":
                raise
            return ExitCode.OK  # the tunnels went down with the supervisor
    if goal == "up" and (gone := sorted(set(names) - set(seen))):
        raise CommandError(f"no longer in the config file: {', '.join(gone)}", ExitCode.NOT_FOUND)
    late = [tunnel for tunnel in seen.values() if not holds(tunnel)]
    for tunnel in late:
        click.echo("\n".join(describe(tunnel)), err=True)
    if late:
        raise TimeoutError(f"not {goal} within {timeout:g} s: {', '.join(t.name for t in late)}")
    return ExitCode.OK


def wait_until(
    client: Client,
    names: Collection[str],
    holds: Callable[[TunnelSnapshot], bool],
    deadline: float | None,
) -> dict[str, TunnelSnapshot]:
    """Follow tunnels until a condition holds for each, or the deadline (of time.monotonic()).

    Returns their last snapshots, without tunnels that a reload removed meanwhile.
    Raises NoSupervisorError when the supervisor ends, RemoteError for an unknown name.
    """
    if not names:
        return {}
    result = client.follow("status", names=list(names))
    seen = {t.name: t for t in msgspec.json.decode(result, type=StatusSnapshot).tunnels}
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
        pass  # the last snapshots are the answer
    return seen


def is_settled(tunnel: TunnelSnapshot) -> bool:
    """Return whether a tunnel that was just started needs no further wait."""
    if tunnel.state == "backoff":
        return tunnel.attempt >= SETTLED_ATTEMPTS
    return tunnel.state in {"up", "degraded", "blocked", "stopped"}
