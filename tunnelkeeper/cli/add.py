"""`tunnelkeeper add`: write a tunnel into the config file, and start it on request."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tunnelkeeper.cli import config_change, up
from tunnelkeeper.cli.settings import CommandError, OtherConfigError
from tunnelkeeper.cli.wait import settle_timeout
from tunnelkeeper.config import ConfigError
from tunnelkeeper.config.errors import InvalidValueError
from tunnelkeeper.config.starter import HEADER
from tunnelkeeper.config.value_parsers import name as read_name
from tunnelkeeper.control.client_errors import NoSupervisorError
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.core.configuration import Configuration, Tunnel

_PATH_KEYS = (
    "identity_files",
    "certificate_files",
    "known_hosts",
    "system_known_hosts",
    "revoked_host_keys",
)
"""Keys of files. A relative path is meant relative to where the command is typed."""

_SSH_OPTIONS = {
    "-i": "write identity_files=FILE",
    "-J": "write jump=HOST",
    "-l": "write user=NAME",
    "-p": "write port=PORT",
    "-C": "write compression=true",
    "-b": "write bind_address=ADDRESS",
    "-B": "write bind_interface=NAME",
    "-c": "write ciphers=LIST",
    "-m": "write macs=LIST",
    "-o": "write KEY=VALUE with the key of docs/config.md, or set the option in ssh_config",
    "-f": "write --up, which starts the tunnel in the background",
    "-N": "leave it out, a tunnel runs no command",
    "-T": "leave it out, a tunnel runs no command",
    "-M": "leave it out, keepalives find a dead connection",
    "-g": "write the address to listen on, as in -L '*:5432:db.internal:5432'",
}
"""Options of ssh and autossh, and what to do instead."""


class AddCommand(click.Command):
    """The command, with advice for options of ssh that are keys here."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments. An option of ssh is refused with the key that replaces it."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if advice := _SSH_OPTIONS.get(error.option_name):
                message = f"no option {error.option_name} of ssh here: {advice}"
                raise click.UsageError(message, ctx) from None
            raise


_EXAMPLES = """\b
Examples:
  tunnelkeeper add db me@relay.example.com -L 5432:db.internal:5432 --up
  tunnelkeeper add web relay -D 1080 port=2222 identity_files=~/.ssh/id_web
"""


@click.command(cls=AddCommand, epilog=_EXAMPLES)
@click.argument(
    "name", metavar="NAME", type=click.types.StringParamType()
)  # a new one: no completion
@click.argument("host", metavar="HOST")
@click.argument("words", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("-L", "local", metavar="SPEC", multiple=True, help="A local forward, as for ssh.")
@click.option("-R", "remote", metavar="SPEC", multiple=True, help="A remote forward, as for ssh.")
@click.option("-D", "socks", metavar="SPEC", multiple=True, help="A SOCKS proxy, as for ssh.")
@click.option("--up", "start", is_flag=True, help="Start the tunnel, and wait until it is up.")
@settle_timeout("With --up: wait at most this many seconds.")
@click.pass_obj
def command(
    settings: Settings,
    /,
    name: str,
    host: str,
    words: tuple[str, ...],
    start: bool,
    timeout: float,
    **specs: tuple[str, ...],
) -> int:
    """Add a tunnel to the config file, which is created if it does not exist.

    HOST is an ssh_config alias, a [hosts] name or [user@]host[:port]. KEY=VALUE is any key of a
    tunnel (docs/config.md): texts need no quotes, lists are written as in TOML. A running
    supervisor that uses the file reloads it.
    """
    from tunnelkeeper.config.command_words import WordsError, read_tunnel

    deadline = time.monotonic() + timeout
    if start:
        _refuse_other_supervisor(settings)
    try:
        read_name(name)
        table = read_tunnel(host, specs, words)
    except InvalidValueError as error:
        raise CommandError(f"NAME: {error}", ExitCode.USAGE) from None
    except WordsError as error:
        raise CommandError("\n".join(error.problems), ExitCode.USAGE) from None
    configuration = _write(settings.config, name, _with_absolute_paths(table))
    client = config_change.reload_supervisor(settings)
    if client is None:
        if start:
            names = _names_to_start(configuration, name)
            return up.start_in_background(settings, names, None, deadline)
        click.echo("no supervisor uses the file; `tunnelkeeper up --detach` starts one")
        return ExitCode.OK
    with client:
        if start:
            return up.wait_until_settled(client, client.start([name]), deadline)
        [tunnel] = client.status([name]).tunnels
        if not tunnel.wanted:
            click.echo(f"{name} is stopped; `tunnelkeeper up {name}` starts it")
    return ExitCode.OK


def _write(path: Path, name: str, table: dict[str, Any]) -> Configuration:
    """Add a table to the file. Return the new configuration. Raises CommandError."""
    from tunnelkeeper.config.toml_edit import append_text
    from tunnelkeeper.config.toml_values import format_table
    from tunnelkeeper.importing import config_file

    with config_change.changing(path) as file:
        if name in file.configuration.tunnels:
            raise CommandError(
                f"{config_change.shown(path)} has a tunnel {name} already; choose another name, "
                f"change it with `tunnelkeeper edit`, or run `tunnelkeeper remove {name}` first",
                ExitCode.USAGE,
            )
        is_new = not path.exists()
        text = append_text(HEADER if is_new else file.text, format_table("tunnels", name, table))
        try:
            configuration, warnings = config_file.parse_changed(file, text, {name})
        except ConfigError as error:
            raise config_change.refused_change_error(error) from error
        config_file.write(file, text)
    click.echo(f"added {name} to {config_change.shown(path)}{', a new file' if is_new else ''}")
    for warning in warnings:
        if warning.key.startswith(f"tunnels.{name}"):
            click.echo(f"warning: {warning}", err=True)
    if host := _shared_host(configuration, configuration.tunnels[name]):
        click.echo(f"note that the table [hosts.{host}] applies to it too", err=True)
    return configuration


def _shared_host(configuration: Configuration, tunnel: Tunnel) -> str:
    """Return the host of a tunnel if it is written differently and has a [hosts] table."""
    from tunnelkeeper.core.host_spec import parse_host_spec

    host = parse_host_spec(tunnel.host).host
    return host if host != tunnel.host and host in configuration.hosts else ""


def _names_to_start(configuration: Configuration, name: str) -> tuple[str, ...]:
    """Return what a new supervisor is to hold: all, if that is this tunnel alone.

    A supervisor of all tunnels also starts those that are added later.
    """
    automatic = [each.name for each in configuration.tunnels.values() if each.autostart]
    return () if automatic == [name] else (name,)


def _refuse_other_supervisor(settings: Settings) -> None:
    """Raise OtherConfigError if the supervisor at this socket uses another config file."""
    if (own := config_change.supervisor_of(settings)) is not None:
        own.close()
        return
    try:
        with settings.client() as client:
            held = Path(client.status().supervisor.config)
    except NoSupervisorError:
        return
    raise OtherConfigError(held, settings.config)


def _with_absolute_paths(table: dict[str, Any]) -> dict[str, Any]:
    """Return a table whose relative paths of existing files are absolute.

    The supervisor would look for them in the folder that it was started in.
    """
    return {key: _absolute(value) if key in _PATH_KEYS else value for key, value in table.items()}


def _absolute(value: object) -> object:
    if isinstance(value, list):
        return [_absolute(each) for each in value]
    path = Path(str(value))
    is_here = not path.is_absolute() and (Path.cwd() / path).exists()
    return str(Path.cwd() / path) if is_here else value
