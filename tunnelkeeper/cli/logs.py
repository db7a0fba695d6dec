"""`tunnelkeeper logs`: the log of the tunnels, newest last."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
import msgspec

from tunnelkeeper.cli import past_log
from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.json_output import is_requested, json_option
from tunnelkeeper.cli.message_output import print_message
from tunnelkeeper.cli.names import expand_names
from tunnelkeeper.cli.styled_lines import terminal_width
from tunnelkeeper.control.client_errors import NoSupervisorError
from tunnelkeeper.control.payloads import LOG_LINES_LIMIT, LogEvent, LogLines
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.text import RECORD_LIMIT, printable
from tunnelkeeper.presentation.formatting import record_lines
from tunnelkeeper.presentation.message_lines import is_command
from tunnelkeeper.presentation.text_layout import wrap_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.control.client import Client
    from tunnelkeeper.core.snapshot import LogRecord

LINE_LIMIT = RECORD_LIMIT + 200
"""Characters of a line to print: a record, its time, its level and its tunnel."""


_EXAMPLES = """\b
Examples:
  tunnelkeeper logs -f
  tunnelkeeper logs db web -n 20
"""


@click.command(cls=TunnelsCommand, epilog=_EXAMPLES)
@click.argument("names", metavar="[NAME]...", nargs=-1)
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
@json_option("Print a JSON object per line.", is_stream=True)
@click.pass_obj
def command(
    settings: Settings,
    names: tuple[str, ...],
    follow: bool,
    lines: int,
    utc: bool,
) -> int:
    """Show the log of tunnels; without a NAME, of all and the supervisor.

    Without a supervisor, show the end of the last one's log: of its file or of the journal.
    """

    def show(record: LogRecord) -> None:
        if is_requested():
            click.echo(msgspec.json.encode(record))
        else:
            click.echo(format_lines(record, terminal_width(), utc=utc))

    try:
        client = settings.client_for_config()
    except NoSupervisorError:
        past = past_log.find_past_log(os.environ, settings.socket, names, lines)
        if past is None:
            raise
        print_message(f"no supervisor is running; this is the end of {past.source}:")
        for record in past.records:
            show(record)
        if follow:
            raise
        return ExitCode.OK
    with client:
        for record in _records(client, expand_names(client, names), lines, follow=follow):
            show(record)
    return ExitCode.OK


def _records(client: Client, names: list[str], lines: int, *, follow: bool) -> Iterator[LogRecord]:
    """Yield the newest lines of these tunnels, or of everything, and then each new one.

    The supervisor has a log for one tunnel and one for everything. Lines of several tunnels are
    picked from the latter, since their times do not order them.
    """
    if len(names) > 1:
        client.status(names)  # refuses an unknown name
    is_picked = len(names) > 1
    ask = client.follow if follow else client.call
    name = names[0] if len(names) == 1 else None
    result = ask("logs", name=name, lines=LOG_LINES_LIMIT if is_picked else lines)
    records = msgspec.json.decode(result, type=LogLines).records
    if is_picked:
        records = [record for record in records if record.tunnel in names]
    yield from records[len(records) - min(lines, len(records)) :]
    if follow:
        for event in client.events():
            if isinstance(event, LogEvent) and (not names or event.record.tunnel in names):
                yield event.record


def format_lines(record: LogRecord, cells: int | None = None, *, utc: bool = False) -> str:
    """Return a record in the format of the supervisor's log, each line cut and escaped.

    cells: the width of the terminal, or None for lines that are not wrapped.
    """
    lines = [printable(line, LINE_LIMIT) for line in record_lines(record, utc=utc)]
    commands = [record.hint] if is_command(record.hint) else []
    return "\n".join(wrap_lines(lines, cells, commands))
