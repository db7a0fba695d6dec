"""`tunnelkeeper show`: the settings of a tunnel that are in effect, and where each comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tunnelkeeper.cli import launch
from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.json_output import json_option, print_text, set_result
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

    A comment at each value names its origin: a line of the config file, ssh_config, or the default.
    It asks ssh about each host, and connects to nothing.
    """
    from tunnelkeeper.config.resolved_text import format_resolved, to_json_values

    tunnel = launch.show(settings.config, name)
    set_result(to_json_values(tunnel))
    print_text(format_resolved(tunnel), nl=False)
    return ExitCode.OK
