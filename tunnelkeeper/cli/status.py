"""`tunnelkeeper status`: a table that fits the terminal, refreshed in place on request, or JSON."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from tunnelkeeper.cli import status_table
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.snapshot import StatusSnapshot
from tunnelkeeper.presentation.tunnel_text import failure_lines, status_row

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.control.client import Client
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
        return _watch_status(settings, names, as_json=as_json)
    with settings.client() as client:
        said = client.call("status", names=list(names) or None)
    snapshot = msgspec.json.decode(said, type=StatusSnapshot)
    if as_json:
        click.echo(msgspec.json.format(said))
    elif not snapshot.tunnels:
        click.echo(f"no tunnels are configured in {snapshot.supervisor.config}")
    else:
        now = datetime.now(UTC)
        status_table.show(
            status_table.of_tunnels(status_row(tunnel, now) for tunnel in snapshot.tunnels)
        )
        lines = [line for tunnel in snapshot.tunnels for line in failure_lines(tunnel)]
        if lines:
            click.echo("\n" + "\n".join(lines))
    return _exit_code(snapshot.tunnels)


def _watch_status(settings: Settings, names: tuple[str, ...], *, as_json: bool) -> ExitCode:
    if as_json or not sys.stdout.isatty():
        raise click.UsageError("--watch is for a terminal; `logs -f --json` tells a program more")

    with settings.client() as client:
        return _exit_code(_watch(client, list(names) or None))


def _exit_code(tunnels: list[TunnelSnapshot]) -> ExitCode:
    up = all(tunnel.state == "up" for tunnel in tunnels if tunnel.wanted)
    return ExitCode.OK if up else ExitCode.FAILED


REFRESH = 1.0
"""Seconds between two pictures."""


def _watch(client: Client, names: list[str] | None) -> list[TunnelSnapshot]:
    """Show these tunnels until Ctrl-C, None for all; the last picture stays and is returned.

    Raises NoSupervisor when the supervisor ends, and what a call raises.
    """
    tunnels: list[TunnelSnapshot] = []
    with Live(auto_refresh=False, console=Console(highlight=False)) as live:
        try:
            while True:
                tunnels = client.status(names).tunnels
                live.update(_picture(tunnels), refresh=True)
                time.sleep(REFRESH)
        except KeyboardInterrupt:
            return tunnels


def _picture(tunnels: list[TunnelSnapshot]) -> Group:
    now = datetime.now(UTC)
    shown = status_table.of_tunnels(status_row(tunnel, now) for tunnel in tunnels)
    why = [Text(line) for tunnel in tunnels for line in failure_lines(tunnel)]
    return Group(shown, *([Text(""), *why] if why else []))
