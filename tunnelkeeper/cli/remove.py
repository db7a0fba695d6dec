"""`tunnelkeeper remove`: take tunnels out of the config file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from tunnelkeeper.cli import config_change
from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.json_output import json_option, print_text, set_result
from tunnelkeeper.cli.message_output import print_message
from tunnelkeeper.cli.names import find_ad_hoc_table
from tunnelkeeper.cli.results import Removed
from tunnelkeeper.cli.settings import CommandError, join_names
from tunnelkeeper.config import ConfigError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.name_patterns import NoMatchError, expand_patterns
from tunnelkeeper.core.text import printable
from tunnelkeeper.presentation.formatting import nearest

if TYPE_CHECKING:
    from collections.abc import Collection

    from tunnelkeeper.cli.settings import Settings


_EXAMPLES = """\b
Examples:
  tunnelkeeper remove db
  tunnelkeeper remove 'eu-*'
"""


@click.command(cls=TunnelsCommand, epilog=_EXAMPLES)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@json_option("Print what was removed as JSON.")
@click.pass_obj
def command(settings: Settings, names: tuple[str, ...]) -> int:
    """Remove tunnels from the config file.

    The comments directly above a table go with it; all other text is kept. A running supervisor
    that uses the file reloads it, which stops the tunnels.
    """
    removed = _write(settings, names)
    set_result(removed)
    reloaded = config_change.reload_supervisor(settings)
    if reloaded is not None:
        client, changes = reloaded
        client.close()
        set_result(replace(removed, changes=changes))
    return ExitCode.OK


def _known_names(
    settings: Settings, patterns: tuple[str, ...], tunnels: Collection[str]
) -> list[str]:
    """Return the names of tunnels that words stand for. Raises CommandError."""
    where = f"nothing was removed from {config_change.shown(settings.config)}"
    try:
        names = expand_patterns(patterns, tunnels)
    except NoMatchError as error:
        raise CommandError(f"{where}: {printable(str(error))}", ExitCode.NOT_FOUND) from None
    for name in names:
        if name not in tunnels:
            shown = printable(repr(name))
            if find_ad_hoc_table(settings, name) is not None:
                problem, hint = f"{shown} is an ad-hoc tunnel", f"tunnelkeeper stop {name}"
            else:
                near = nearest(name, tunnels)
                hint = f"tunnelkeeper remove {near}" if near else ""
                problem = f"it has no tunnel {shown}"
            raise CommandError(f"{where}: {problem}", ExitCode.NOT_FOUND, hint)
    return names


def _write(settings: Settings, patterns: tuple[str, ...]) -> Removed:
    """Remove tunnels from the file. Return what was removed.

    Raises CommandError, and then nothing is written.
    """
    from tunnelkeeper.config.toml_edit import NotATableError, remove_tunnels
    from tunnelkeeper.core.tunnel_references import find_references, find_unused_hosts
    from tunnelkeeper.importing import config_file

    path = settings.config
    if not path.exists():
        raise CommandError(
            f"{config_change.shown(path)}: no such file, so there is no tunnel to remove",
            ExitCode.NOT_FOUND,
        )
    with config_change.changing(path) as file:
        tunnels = file.configuration.tunnels
        names = _known_names(settings, patterns, tunnels)
        try:
            text = remove_tunnels(file.text, names)
            config_file.parse_changed(file, text, names)
        except NotATableError as error:
            message = f"{error}, so it cannot be removed here"
            raise CommandError(message, hint="tunnelkeeper edit") from error
        except ConfigError as error:
            raise config_change.refused_change_error(error) from error
        config_file.write(file, text)
    print_text(f"removed {join_names(names)} from {config_change.shown(path)}")
    unused_hosts = list(find_unused_hosts(file.configuration, names))
    for host in unused_hosts:
        print_text(f"no tunnel uses [hosts.{host}] now")
    warnings = [printable(each, 1000) for each in find_references(file.configuration, names)]
    for warning in warnings:
        print_message(f"warning: {warning}")
    return Removed(names, str(path), unused_hosts, warnings)
