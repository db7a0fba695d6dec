"""Help texts: the config file that a command would use, and the command `help`.

The examples of a command are its epilog, which begins with a line of a backspace so that click does
not wrap it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from tunnelkeeper import paths
from tunnelkeeper.cli.settings import Settings
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from pathlib import Path


class TunnelsCommand(click.Command):
    """A command that uses tunnels.toml. Its help names the file."""

    def config_file(self, settings: Settings) -> Path:
        """Return the config file that the command would use."""
        return settings.config

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, and the path of the config file."""
        super().format_epilog(ctx, formatter)
        write_config_file(formatter, self.config_file(ctx.find_object(Settings) or Settings()))


class RelayCommand(TunnelsCommand):
    """A command that uses relay.toml. Its help names the file."""

    def config_file(self, settings: Settings) -> Path:
        """Return the config file that the command would use."""
        from tunnelkeeper.cli.relay_instance import config_of

        return config_of(settings, None)[0]


def write_config_file(formatter: click.HelpFormatter, path: Path) -> None:
    """Write which config file is used."""
    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_text(f"Config file: {short_path(path)} (--config FILE)")


def short_path(path: Path) -> str:
    """Return a path with `~` for the home folder."""
    home = paths.home(os.environ)
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


_EXAMPLES = """\b
Examples:
  tunnelkeeper help
  tunnelkeeper help up
  tunnelkeeper help relay add
"""


@click.command(epilog=_EXAMPLES)
@click.argument("names", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...]) -> int:
    """Explain a command, as its --help does; without a COMMAND, list all of them."""
    found = ctx.find_root()
    words = list(names)
    while words:
        group = found.command
        if not isinstance(group, click.Group):
            raise click.UsageError(f"{found.command_path} has no commands", ctx)
        name, sub, words = group.resolve_command(found, words)
        if sub is not None:
            found = click.Context(sub, found, name)
    click.echo(found.get_help())
    return ExitCode.OK
