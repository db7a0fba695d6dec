"""`tunnelkeeper logs`: the log of the tunnels, newest last."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
import msgspec

from tunnelkeeper.cli import past_log
from tunnelkeeper.control.client_errors import NoSupervisorError
from tunnelkeeper.control.payloads import LOG_LINES_LIMIT, LogEvent, LogLines
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.text import RECORD_LIMIT, printable
from tunnelkeeper.presentation.formatting import format_record

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
@click.option("--utc", is_flag=True, help="Show times in UTC, not in the local time zone.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per line.")
@click.pass_obj
def command(
    settings: Settings, name: str | None, follow: bool, lines: int, utc: bool, as_json: bool
) -> int:
    """Show the log of the tunnel NAME, or of all and the supervisor.

    Without a supervisor, show the end of the last one's log: of its file or of the journal.
    """

    def show(record: LogRecord) -> None:
        click.echo(msgspec.json.encode(record) if as_json else format_line(record, utc=utc))

    try:
        client = settings.client()
    except NoSupervisorError:
        past = past_log.find_past_log(os.environ, name, lines)
        if past is None:
            raise
        click.echo(f"no supervisor is running; this is the end of {past.source}:", err=True)
        for record in past.records:
            show(record)
        if follow:
            raise
        return ExitCode.OK
    with client:
        ask = client.follow if follow else client.call
        result = ask("logs", name=name, lines=lines)
        for record in msgspec.json.decode(result, type=LogLines).records:
            show(record)
        if follow:
            for event in client.events():
                if isinstance(event, LogEvent) and name in {None, event.record.tunnel}:
                    show(event.record)
    return ExitCode.OK


def format_line(record: LogRecord, *, utc: bool = False) -> str:
    """Return a record in the format of the supervisor's log, cut and escaped."""
    text = format_record(record, utc=utc) if record.at else record.text
    return printable(text, LINE_LIMIT)
