"""`tunnelkeeper show`: the settings of a tunnel that are in effect, and where each comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tunnelkeeper.cli import launch
from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.json_output import json_option, print_text, set_result
from tunnelkeeper.cli.names import find_ad_hoc_table
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings

_EXAMPLES = """\b
Examples:
  tunnelkeeper show db
  tunnelkeeper show db --json
"""


@click.command(cls=TunnelsCommand, epilog=_EXAMPLES)
@click.argument("name", metavar="NAME")
@json_option("Print the values and origins as JSON.")
@click.pass_obj
def command(settings: Settings, name: str) -> int:
    """Show the settings of a tunnel and its hosts that are in effect, as TOML.

    A comment at each value names its origin: a line of the config file, ssh_config, the default, or
    the command line of `forward`. It asks ssh about each host, and connects to nothing.
    """
    from tunnelkeeper.config.resolved_text import format_resolved, to_json_values

    try:
        tunnel = launch.show(settings.config, name)
    except CommandError as error:
        table = find_ad_hoc_table(settings, name) if error.code == ExitCode.NOT_FOUND else None
        if table is None:
            raise
        tunnel = launch.show(settings.config, name, table)
    set_result(to_json_values(tunnel))
    print_text(format_resolved(tunnel), nl=False)
    return ExitCode.OK
