"""`tunnelkeeper logs`: what happened to the tunnels, newest last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from tunnelkeeper.control.payloads import LOG_LINES_LIMIT, LogEvent, LogLines
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.core.snapshot import LogRecord

LINE_LIMIT = 4096
"""Characters of a line that are shown."""


@click.command()
@click.argument("name", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on.")
@click.option(
    "-n",
    "--lines",
    metavar="N",
    type=click.IntRange(0, LOG_LINES_LIMIT),
    default=100,
    show_default=True,
    help="How many of the newest lines.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per line.")
@click.pass_obj
def command(settings: Settings, name: str | None, follow: bool, lines: int, as_json: bool) -> int:
    """Show what happened to the tunnel NAME, or to all and the supervisor itself."""

    def show(record: LogRecord) -> None:
        click.echo(msgspec.json.encode(record) if as_json else line(record))

    with settings.client() as client:
        ask = client.follow if follow else client.call
        said = ask("logs", name=name, lines=lines)
        for record in msgspec.json.decode(said, type=LogLines).records:
            show(record)
        if follow:
            for event in client.events():
                if isinstance(event, LogEvent) and name in {None, event.record.tunnel}:
                    show(event.record)
    return ExitCode.OK


def line(record: LogRecord) -> str:
    """A record as the supervisor's own log has it."""
    return printable(str(record), LINE_LIMIT)
