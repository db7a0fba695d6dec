"""`tunnelkeeper logs`: the log of the tunnels, newest last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from tunnelkeeper.control.payloads import LOG_LINES_LIMIT, LogEvent, LogLines
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.text import RECORD_LIMIT, printable

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.core.snapshot import LogRecord

LINE_LIMIT = RECORD_LIMIT + 200
"""Characters of a line to print: a record, its time, its level and its tunnel."""


@click.command()
@click.argument("name", required=False)
@click.option("-f", "--follow", is_flag=True, help="Follow the log.")
@click.option(
    "-n",
    "--lines",
    metavar="N",
    type=click.IntRange(0, LOG_LINES_LIMIT),
    default=100,
    show_default=True,
    help="The number of newest lines.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per line.")
@click.pass_obj
def command(settings: Settings, name: str | None, follow: bool, lines: int, as_json: bool) -> int:
    """Show the log of the tunnel NAME, or of all and the supervisor."""

    def show(record: LogRecord) -> None:
        click.echo(msgspec.json.encode(record) if as_json else format_record(record))

    with settings.client() as client:
        ask = client.follow if follow else client.call
        result = ask("logs", name=name, lines=lines)
        for record in msgspec.json.decode(result, type=LogLines).records:
            show(record)
        if follow:
            for event in client.events():
                if isinstance(event, LogEvent) and name in {None, event.record.tunnel}:
                    show(event.record)
    return ExitCode.OK


def format_record(record: LogRecord) -> str:
    """Return a record in the format of the supervisor's log."""
    return printable(str(record), LINE_LIMIT)
