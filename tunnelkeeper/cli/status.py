"""`tunnelkeeper status`: a table that fits the terminal, refreshed in place on request, or JSON."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec

from tunnelkeeper.cli import status_table
from tunnelkeeper.cli.json_output import is_requested, json_option, set_result
from tunnelkeeper.cli.names import expand_names
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.snapshot import StatusSnapshot
from tunnelkeeper.core.text import printable
from tunnelkeeper.presentation.tunnel_text import (
    client_failure_lines,
    failure_lines,
    keepalive_lines,
    status_row,
)

if TYPE_CHECKING:
    from rich.console import Group

    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.control.client import Client
    from tunnelkeeper.core.snapshot import TunnelSnapshot


REFRESH_INTERVAL = 1.0
"""Seconds between two refreshes."""


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@json_option("Print the supervisor's answer as JSON.")
@click.option("--watch", is_flag=True, help="Refresh the table until Ctrl-C.")
@click.pass_obj
def command(settings: Settings, names: tuple[str, ...], watch: bool) -> int:
    """Show what tunnels are doing; without a NAME, all of them.

    The exit code is 0 if every tunnel that should be up is up, otherwise 1. With --watch, the state
    at Ctrl-C counts.
    """
    if watch:
        return _watch_status(settings, names)
    with settings.client() as client:
        result = client.call("status", names=expand_names(client, names) or None)
    snapshot = msgspec.json.decode(result, type=StatusSnapshot)
    now = datetime.now(UTC)
    set_result(result)
    if is_requested():
        return _exit_code(snapshot.tunnels)
    if not snapshot.tunnels:
        click.echo(f"no tunnels are configured in {snapshot.supervisor.config}")
    else:
        status_table.print_table(
            status_table.tunnel_table(status_row(tunnel, now) for tunnel in snapshot.tunnels)
        )
    if lines := _lines_below(snapshot, now):
        click.echo("\n" + "\n".join(lines))
    return _exit_code(snapshot.tunnels)


def _watch_status(settings: Settings, names: tuple[str, ...]) -> ExitCode:
    if is_requested() or not sys.stdout.isatty():
        raise click.UsageError("--watch needs a terminal; programs can use `logs -f --json`")

    with settings.client() as client:
        return _exit_code(_watch(client, expand_names(client, names) or None))


def _exit_code(tunnels: list[TunnelSnapshot]) -> ExitCode:
    up = all(tunnel.state == "up" for tunnel in tunnels if tunnel.wanted)
    return ExitCode.OK if up else ExitCode.FAILED


def _lines_below(snapshot: StatusSnapshot, now: datetime) -> list[str]:
    """Return the lines below the table: failures, and a config file that is not applied yet."""
    lines = [line for tunnel in snapshot.tunnels for line in failure_lines(tunnel)]
    lines += [line for tunnel in snapshot.tunnels for line in keepalive_lines(tunnel)]
    lines += [line for tunnel in snapshot.tunnels for line in client_failure_lines(tunnel, now)]
    if snapshot.supervisor.config_changed:
        file = printable(snapshot.supervisor.config)
        lines.append(f"{file} has changed; `tunnelkeeper reload` applies the changes")
    return lines


def _watch(client: Client, names: list[str] | None) -> list[TunnelSnapshot]:
    """Show these tunnels until Ctrl-C. None: all. Return the last ones shown.

    Raises NoSupervisorError when the supervisor ends, and what a call raises.
    """
    from rich.console import Console
    from rich.live import Live

    tunnels: list[TunnelSnapshot] = []
    with Live(auto_refresh=False, console=Console(highlight=False)) as live:
        try:
            while True:
                snapshot = client.status(names)
                tunnels = snapshot.tunnels
                live.update(_render(snapshot), refresh=True)
                time.sleep(REFRESH_INTERVAL)
        except KeyboardInterrupt:
            return tunnels


def _render(snapshot: StatusSnapshot) -> Group:
    from rich.console import Group
    from rich.text import Text

    now = datetime.now(UTC)
    table = status_table.tunnel_table(status_row(tunnel, now) for tunnel in snapshot.tunnels)
    lines = [Text(line) for line in _lines_below(snapshot, now)]
    return Group(table, *([Text(""), *lines] if lines else []))
