"""`tunnelkeeper show`: the settings of a tunnel that are in effect, and where each comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from tunnelkeeper.cli import launch
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings

_EXAMPLES = """\b
Examples:
  tunnelkeeper show db
  tunnelkeeper show db --json
"""


@click.command(epilog=_EXAMPLES)
@click.argument("name", metavar="NAME")
@click.option("--json", "as_json", is_flag=True, help="Print the values and origins as JSON.")
@click.pass_obj
def command(settings: Settings, name: str, as_json: bool) -> int:
    """Show the settings of a tunnel and its hosts that are in effect, as TOML.

    A comment at each value names its origin: a line of the config file, ssh_config, or the default.
    It asks ssh about each host, and connects to nothing.
    """
    from tunnelkeeper.config.resolved_text import format_resolved, to_json_values

    tunnel = launch.show(settings.config, name)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(to_json_values(tunnel))))
    else:
        click.echo(format_resolved(tunnel), nl=False)
    return ExitCode.OK
