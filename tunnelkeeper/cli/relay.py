"""`tunnelkeeper relay serve|status|check|reload`: run the relay server, or query a running one.

`relay_access` has `kick`, `ban` and `unban`.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from tunnelkeeper import paths
from tunnelkeeper.cli import launch
from tunnelkeeper.cli.check import report_findings
from tunnelkeeper.cli.help_text import RelayCommand
from tunnelkeeper.cli.json_output import is_requested, json_option, print_text, set_result
from tunnelkeeper.cli.relay_access import ban, kick, unban
from tunnelkeeper.cli.relay_instance import config_of, connect, instance_for
from tunnelkeeper.cli.relay_setup import add, init, remove
from tunnelkeeper.cli.relay_table import render_relay
from tunnelkeeper.cli.results import Reloaded
from tunnelkeeper.cli.settings import ANSWER_TIMEOUT, WORK_TIMEOUT
from tunnelkeeper.cli.styled_lines import print_lines, terminal_width
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.forward_spec import SpecError, TcpAddress, parse_listen
from tunnelkeeper.core.relay_snapshot import RelaySnapshot

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings

_config = click.option("--config", metavar="FILE", help="The config file, relay.toml.")


_SERVE_EXAMPLES = """\b
Examples:
  tunnelkeeper relay serve
  tunnelkeeper relay serve --config ./relay.toml --listen '*:2222' -v
"""
_STATUS_EXAMPLES = """\b
Examples:
  tunnelkeeper relay status
  tunnelkeeper relay status --json
"""
_CHECK_EXAMPLES = """\b
Examples:
  tunnelkeeper relay check
"""
_RELOAD_EXAMPLES = """\b
Examples:
  tunnelkeeper relay reload
"""
_EXAMPLES = """\b
Examples:
  tunnelkeeper relay init
  tunnelkeeper relay add box17
  tunnelkeeper relay serve
  tunnelkeeper relay status
"""


@click.group(epilog=_EXAMPLES)
def command() -> None:
    """Run a relay for machines behind NAT, or query a running one.

    The config file is ~/.config/tunnelkeeper-relay/relay.toml, unless --config names another.
    Without it, `check`, `add` and `remove` use /etc/tunnelkeeper-relay/relay.toml. If only one
    relay is running, `status`, `reload`, `kick`, `ban` and `unban` find it without --config.
    """


@command.command(
    short_help="run the relay in the foreground", cls=RelayCommand, epilog=_SERVE_EXAMPLES
)
@_config
@click.option("--listen", metavar="ADDR:PORT", multiple=True, help="Listen here; may be repeated.")
@click.option("--host-key", metavar="FILE", multiple=True, help="A host key; generated if missing.")
@click.option("--authorized-keys", metavar="FILE", help="Who may log in; %u is the user.")
@click.option(
    "--user",
    metavar="NAME",
    envvar="TUNNELKEEPER_RELAY_USER",
    help="The user that root becomes after binding the ports [$TUNNELKEEPER_RELAY_USER].",
)
@click.option("-v", "--verbose", is_flag=True, help="Log every login attempt.")
@click.pass_obj
def serve(
    settings: Settings,
    config: str | None,
    listen: tuple[str, ...],
    host_key: tuple[str, ...],
    authorized_keys: str | None,
    user: str | None,
    verbose: bool,
) -> int:
    """Run the relay in the foreground until SIGTERM or SIGINT; SIGHUP reloads.

    Root has to name the --user that serves.
    """
    instance = instance_for(settings, config)
    return launch.serve_relay(
        instance.config,
        instance.socket,
        must_exist=instance.is_named,
        listen=tuple(map(_address, listen)),
        host_keys=tuple(map(_absolute, host_key)),
        authorized_keys=_absolute(authorized_keys) if authorized_keys else "",
        verbose=verbose,
        user=user or "",
        has_default_socket=settings.socket_option is None,
    )


@command.command(
    short_help="who is connected, what was refused", cls=RelayCommand, epilog=_STATUS_EXAMPLES
)
@_config
@click.option("--utc", is_flag=True, help="Show times in UTC, not in the local time zone.")
@json_option("Print the relay's answer as JSON.")
@click.pass_obj
def status(settings: Settings, config: str | None, utc: bool) -> int:
    """Show who is connected, what they listen on, and what was refused."""
    with connect(settings, config, ANSWER_TIMEOUT) as client:
        answer = client.call("status")
    set_result(answer)
    if is_requested():
        return ExitCode.OK
    relay = msgspec.json.decode(answer, type=RelaySnapshot)
    print_lines(render_relay(relay, datetime.now(UTC), terminal_width(), utc=utc))
    return ExitCode.OK


@command.command(
    short_help="validate the config file without listening",
    cls=RelayCommand,
    epilog=_CHECK_EXAMPLES,
)
@_config
@json_option("Print problems and warnings as JSON.")
@click.pass_obj
def check(settings: Settings, config: str | None) -> int:
    """Validate the config file and the files it names, without listening.

    Prints nothing if there is no problem. Problems make the exit code 2, warnings do not.
    """
    path, is_named = config_of(settings, config)
    findings = launch.check_relay(path, must_exist=is_named)
    return report_findings(findings)


@command.command(
    short_help="read the config file and the keys again", cls=RelayCommand, epilog=_RELOAD_EXAMPLES
)
@_config
@json_option("Print the changes as JSON.")
@click.pass_obj
def reload(settings: Settings, config: str | None) -> int:
    """Read the config file and the keys again.

    Connections stay, except those whose key was removed, revoked or given fewer rights.
    """
    with connect(settings, config, WORK_TIMEOUT) as client:
        changes = client.reload()
    set_result(Reloaded(changes))
    print_text("\n".join(changes))
    return ExitCode.OK


command.add_command(init)
command.add_command(add)
command.add_command(remove)
command.add_command(kick)
command.add_command(ban)
command.add_command(unban)


def _address(written: str) -> TcpAddress:
    try:
        address = parse_listen(written)
    except SpecError as error:
        raise click.BadParameter(str(error), param_hint="--listen") from error
    if not isinstance(address, TcpAddress):
        raise click.BadParameter("the relay listens on TCP only", param_hint="--listen")
    return address


def _absolute(written: str) -> str:
    return str(Path.cwd() / paths.expanded(written, os.environ))
