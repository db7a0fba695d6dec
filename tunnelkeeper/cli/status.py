"""`tunnelkeeper status`: a table that fits the terminal, refreshed in place on request, or JSON."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec

from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.json_output import is_requested, json_option, request, set_result
from tunnelkeeper.cli.names import expand_names
from tunnelkeeper.cli.styled_lines import make_console, print_lines, styled_text, terminal_width
from tunnelkeeper.cli.usage_hints import HintedUsageError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.snapshot import StatusSnapshot
from tunnelkeeper.presentation.status_report import render_report, render_screen

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.control.client import Client
    from tunnelkeeper.core.snapshot import TunnelSnapshot


REFRESH_INTERVAL = 1.0
"""Seconds between two refreshes."""


def _request_output(ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value == "json":
        request(ctx)
    return value


_EXAMPLES = """\b
Examples:
  tunnelkeeper status
  tunnelkeeper status db 'eu-*' --json
  tunnelkeeper status -o wide
  tunnelkeeper status --watch
"""


@click.command(cls=TunnelsCommand, epilog=_EXAMPLES)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["wide", "json"]),
    callback=_request_output,
    help="wide: every column, and a line for each forward, at any width. json: as --json.",
)
@json_option("Print the supervisor's answer as JSON.")
@click.option("--watch", is_flag=True, help="Refresh the table until Ctrl-C.")
@click.pass_obj
def command(settings: Settings, names: tuple[str, ...], output: str | None, watch: bool) -> int:
    """Show what tunnels are doing; without a NAME, all of them.

    The table fits the terminal. The exit code is 0 if every tunnel that should be up is up,
    otherwise 1. With --watch, the state at Ctrl-C counts.
    """
    if is_requested() and output == "wide":
        raise click.UsageError("--json and --output wide exclude each other")
    if watch:
        return _watch_status(settings, names, output)
    with settings.client_for_config() as client:
        result = client.call("status", names=expand_names(client, names) or None)
    snapshot = msgspec.json.decode(result, type=StatusSnapshot)
    set_result(result)
    if not is_requested():
        now = datetime.now(UTC)
        print_lines(render_report(snapshot, now, terminal_width(), is_wide=output == "wide"))
    return _exit_code(snapshot.tunnels)


def _watch_status(settings: Settings, names: tuple[str, ...], output: str | None) -> ExitCode:
    if is_requested() or not sys.stdout.isatty():
        raise HintedUsageError("--watch needs a terminal", "tunnelkeeper logs -f --json")
    if output is not None:
        raise HintedUsageError("--watch fits its table to the terminal", "use --output without it")

    with settings.client_for_config() as client:
        return _exit_code(_watch(client, expand_names(client, names) or None))


def _exit_code(tunnels: list[TunnelSnapshot]) -> ExitCode:
    up = all(tunnel.state == "up" for tunnel in tunnels if tunnel.wanted)
    return ExitCode.OK if up else ExitCode.FAILED


def _watch(client: Client, names: list[str] | None) -> list[TunnelSnapshot]:
    """Show these tunnels until Ctrl-C. None: all. Return the last ones shown.

    Raises NoSupervisorError when the supervisor ends, and what a call raises.
    """
    from rich.console import Group
    from rich.live import Live

    tunnels: list[TunnelSnapshot] = []
    console = make_console()
    with Live(auto_refresh=False, console=console) as live:
        try:
            while True:
                snapshot = client.status(names)
                tunnels = snapshot.tunnels
                # The cursor stays on the line below.
                cells, height = console.width, console.height - 1
                lines = render_screen(snapshot, datetime.now(UTC), cells, height)
                live.update(Group(*map(styled_text, lines)), refresh=True)
                time.sleep(REFRESH_INTERVAL)
        except KeyboardInterrupt:
            return tunnels
