"""`tunnelkeeper status`: a table that fits the terminal, or the supervisor's own JSON."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec

from tunnelkeeper.cli import status_table
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.snapshot import StatusSnapshot
from tunnelkeeper.presentation.tunnel_text import reasons, row

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.core.snapshot import TunnelSnapshot


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print what the supervisor says, as JSON.")
@click.option("--watch", is_flag=True, help="Keep the table fresh until Ctrl-C.")
@click.pass_obj
def command(settings: Settings, names: tuple[str, ...], as_json: bool, watch: bool) -> int:
    """Show what tunnels are doing; without a NAME, all of them.

    The exit code is 0 when every tunnel that should be up is up, 1 when one is not; with --watch,
    when Ctrl-C ended it.
    """
    if watch:
        return _watched(settings, names, as_json=as_json)
    with settings.client() as client:
        said = client.call("status", names=list(names) or None)
    snapshot = msgspec.json.decode(said, type=StatusSnapshot)
    if as_json:
        click.echo(msgspec.json.format(said))
    elif not snapshot.tunnels:
        click.echo(f"no tunnels are configured in {snapshot.supervisor.config}")
    else:
        now = datetime.now(UTC)
        status_table.show(status_table.of_tunnels(row(tunnel, now) for tunnel in snapshot.tunnels))
        lines = [line for tunnel in snapshot.tunnels for line in reasons(tunnel)]
        if lines:
            click.echo("\n" + "\n".join(lines))
    return _exit_code(snapshot.tunnels)


def _watched(settings: Settings, names: tuple[str, ...], *, as_json: bool) -> ExitCode:
    if as_json or not sys.stdout.isatty():
        raise click.UsageError("--watch is for a terminal; `logs -f --json` tells a program more")
    from tunnelkeeper.cli import live

    with settings.client() as client:
        return _exit_code(live.watch(client, list(names) or None))


def _exit_code(tunnels: list[TunnelSnapshot]) -> ExitCode:
    up = all(tunnel.state == "up" for tunnel in tunnels if tunnel.wanted)
    return ExitCode.OK if up else ExitCode.FAILED
