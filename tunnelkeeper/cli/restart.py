"""`tunnelkeeper restart`: close tunnels and connect them again, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tunnelkeeper.cli.settings import WORK_TIMEOUT, listed, selection
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings


@click.command()
@selection
@click.option("--graceful", is_flag=True, help="Connect anew first, and let open transfers finish.")
@click.pass_obj
def command(settings: Settings, names: tuple[str, ...], group: str | None, graceful: bool) -> int:
    """Close tunnels and connect again, at once; this ends a wait for the next attempt too."""
    if not names and group is None:
        raise click.UsageError("name the tunnels to restart, or a group with --group")
    with settings.client(WORK_TIMEOUT) as client:
        restarted = client.restart(list(names), group, graceful=graceful)
    click.echo(f"restarting {listed(restarted)}{' gracefully' if graceful else ''}")
    return ExitCode.OK
