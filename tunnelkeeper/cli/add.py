"""`tunnelkeeper add`: write a tunnel into the config file, and start it on request."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from tunnelkeeper.cli import config_change, up
from tunnelkeeper.cli.json_output import is_requested, json_option, print_text, set_result
from tunnelkeeper.cli.message_output import print_message
from tunnelkeeper.cli.results import Added
from tunnelkeeper.cli.settings import CommandError, OtherConfigError
from tunnelkeeper.cli.tunnel_options import TunnelCommand, check_name, read_table, spec_options
from tunnelkeeper.cli.wait import settle_timeout
from tunnelkeeper.config import ConfigError
from tunnelkeeper.config.starter import HEADER
from tunnelkeeper.control.client_errors import NoSupervisorError, RemoteError
from tunnelkeeper.control.jsonrpc import ProtocolError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.message import Message

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.core.configuration import Configuration, Tunnel
    from tunnelkeeper.core.snapshot import TunnelSnapshot

    Tunnels = dict[str, TunnelSnapshot]

_EXAMPLES = """\b
Examples:
  tunnelkeeper add db me@relay.example.com -L 5432:db.internal:5432 --up
  tunnelkeeper add web relay -D 1080 port=2222 identity_files=~/.ssh/id_web
  tunnelkeeper add box relay -R 2222:localhost:22 'groups=["eu", "prod"]'
"""


@click.command(cls=TunnelCommand, epilog=_EXAMPLES)
@click.argument(
    "name", metavar="NAME", type=click.types.StringParamType()
)  # a new one: no completion
@click.argument("host", metavar="HOST")
@click.argument("words", metavar="[KEY=VALUE]...", nargs=-1)
@spec_options
@click.option("--up", "start", is_flag=True, help="Start the tunnel, and wait until it is up.")
@settle_timeout("With --up: wait at most this many seconds.")
@json_option("Print what was added as JSON, and with --up the tunnel; ask nothing.")
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
    deadline = time.monotonic() + timeout
    if start:
        refuse_other_supervisor(settings)
    check_name(name, "NAME")
    table = read_table(host, specs, words)
    configuration, added = write_tunnel(settings.config, name, table, _open_table(settings, name))
    set_result(added)
    reloaded = config_change.reload_supervisor(settings)
    asks = not is_requested()
    if reloaded is None:
        if start:
            names = _names_to_start(configuration, name)
            return _finish(
                added, up.start_in_background(settings, names, None, deadline, asks=asks)
            )
        print_text(str(Message("no supervisor uses the file", "tunnelkeeper up --detach")))
        return ExitCode.OK
    client, changes = reloaded
    added = msgspec.structs.replace(added, changes=changes)
    set_result(added)
    with client:
        if start:
            started = client.start([name])
            return _finish(added, up.wait_until_settled(client, started, deadline, asks=asks))
        [tunnel] = client.status([name]).tunnels
        if not tunnel.wanted:
            print_text(str(Message(f"{name} is stopped", f"tunnelkeeper up {name}")))
    return ExitCode.OK


def _finish(added: Added, tunnels: Tunnels) -> int:
    """Report the tunnels that --up has started. Return the exit code."""
    set_result(msgspec.structs.replace(added, tunnels=list(tunnels.values())))
    return up.print_results(tunnels)


def _open_table(settings: Settings, name: str) -> dict[str, Any] | None:
    """Return the table of the ad-hoc tunnel of this name that is open, if there is one."""
    # A supervisor that does not answer is reported when it has to reload the file.
    with suppress(NoSupervisorError, RemoteError, ProtocolError, OSError):
        client = config_change.supervisor_of(settings)
        if client is not None:
            with client:
                return client.table(name)
    return None


def write_tunnel(
    path: Path, name: str, table: dict[str, Any], open_table: dict[str, Any] | None
) -> tuple[Configuration, Added]:
    """Add a table to the file. Return the new configuration, and the result.

    open_table: that of the open ad-hoc tunnel of this name, which a reload can take over if it has
    the same settings; None if there is none. Raises CommandError.
    """
    from tunnelkeeper.config.toml_edit import append_text
    from tunnelkeeper.config.toml_values import format_table
    from tunnelkeeper.importing import config_file

    with config_change.changing(path) as file:
        if name in file.configuration.tunnels:
            raise CommandError(
                f"{config_change.shown(path)} has a tunnel {name} already",
                ExitCode.USAGE,
                f"choose another name, change it with `tunnelkeeper edit`, or run "
                f"`tunnelkeeper remove {name}` first",
            )
        is_new = not path.exists()
        text = append_text(HEADER if is_new else file.text, format_table("tunnels", name, table))
        try:
            configuration, warnings = config_file.parse_changed(file, text, {name})
        except ConfigError as error:
            raise config_change.refused_change_error(error) from error
        if open_table is not None and not _has_settings(configuration, name, open_table):
            raise CommandError(
                f"an ad-hoc tunnel {name} is open, and has other settings",
                ExitCode.USAGE,
                f"tunnelkeeper stop {name}",
            )
        config_file.write(file, text)
    print_text(f"added {name} to {config_change.shown(path)}{', a new file' if is_new else ''}")
    about_it = [each for each in warnings if each.key.startswith(f"tunnels.{name}")]
    for warning in about_it:
        print_message(f"warning: {warning}", warning.hint)
    own = [str(each) for each in about_it]
    if host := _shared_host(configuration, configuration.tunnels[name]):
        note = f"the table [hosts.{host}] applies to it too"
        print_message(f"note that {note}")
        own.append(note)
    return configuration, Added(name, str(path), is_new, own)


def _has_settings(configuration: Configuration, name: str, table: dict[str, Any]) -> bool:
    """Return whether a tunnel of the file has the settings that a table would give it."""
    from tunnelkeeper.config.ad_hoc import InvalidTunnelError, resolve_tunnel

    try:
        tunnel, _ = resolve_tunnel(name, table, configuration)
    except InvalidTunnelError:
        return False
    return tunnel == configuration.tunnels[name]


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


def refuse_other_supervisor(settings: Settings) -> None:
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
