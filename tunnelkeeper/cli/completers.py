"""Completion of the words that click does not know: tunnels, groups, hosts and files.

A parameter is completed by its metavar, so that a new command gets the right words without a line
here. Only a running supervisor is asked, and a file that cannot be read completes nothing.
"""

from __future__ import annotations

import os
import re
import tomllib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from tunnelkeeper import paths
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.regular_file import read_regular_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Items = list[CompletionItem[str]]
    Completer = Callable[[click.Context, str], Items]

_SIZE_LIMIT = 2 * 1024 * 1024
"""Maximum bytes of a config file, as for the loader, whose import takes too long here."""

_ANSWER_TIMEOUT = 0.5
"""Seconds: a person who presses Tab waits for no supervisor that hangs."""

_HELP_LIMIT = 60
# The shells take a line for each word. Other names than these are not valid in the config file.
_NAME = re.compile(r"[\w.-]+", re.ASCII)
_HOST = re.compile(r"[\w.:@%+-]+", re.ASCII)


def complete_tunnels(ctx: click.Context, _incomplete: str) -> Items:
    """Return the tunnels of the config file, with their hosts, and those that commands opened."""
    tables = _tables(_config(ctx), "tunnels")
    configured = [_item(name, str(table.get("host", ""))) for name, table in _named(tables)]
    return configured + _ad_hoc_tunnels(ctx)


def complete_groups(ctx: click.Context, _incomplete: str) -> Items:
    """Return the groups of the config file, with the number of their tunnels."""
    config = _config(ctx)
    defaults = config.get("defaults")
    common = defaults.get("groups") if isinstance(defaults, dict) else None
    members: dict[str, int] = {}
    for _, table in _named(_tables(config, "tunnels")):
        for group in _texts(table.get("groups", common)):
            members[group] = members.get(group, 0) + 1
    return [
        _item(group, f"{count} {'tunnel' if count == 1 else 'tunnels'}")
        for group, count in members.items()
        if _NAME.fullmatch(group)
    ]


def complete_hosts(ctx: click.Context, incomplete: str) -> Items:
    """Return the hosts of the config file and of ssh_config, after `user@` if it is written."""
    config = _config(ctx)
    own = [name for name, _ in _named(_tables(config, "hosts"))]
    user = "".join(incomplete.rpartition("@")[:2])
    hosts = [host for host in [*own, *_ssh_config_hosts(config)] if _HOST.fullmatch(host)]
    return [_item(f"{user}{host}") for host in dict.fromkeys(hosts)]


def complete_references(ctx: click.Context, incomplete: str) -> Items:
    """Return what `connect` accepts: tunnels and hosts."""
    return [*complete_tunnels(ctx, incomplete), *complete_hosts(ctx, incomplete)]


def complete_commands(ctx: click.Context, _incomplete: str) -> Items:
    """Return the commands below those that are written already, for `help`."""
    group: click.Command | None = ctx.find_root().command
    for name in ctx.params.get("names") or ():
        group = group.get_command(ctx, name) if isinstance(group, click.Group) else None
    names = group.list_commands(ctx) if isinstance(group, click.Group) else []
    return [_item(name) for name in names]


def complete_checks(_ctx: click.Context, _incomplete: str) -> Items:
    """Return the checks of doctor."""
    from tunnelkeeper.core.doctor_checks import CHECKS

    return [_item(check.name, check.question) for check in CHECKS]


def complete_files(_ctx: click.Context, incomplete: str) -> Items:
    """Let the shell complete a file."""
    return [CompletionItem(incomplete, type="file")]


COMPLETERS: dict[str, Completer] = {
    "FILE": complete_files,
    "FILE|NAME": complete_files,
    "PATH": complete_files,
    "CHECK": complete_checks,
    "NAME": complete_tunnels,
    "G": complete_groups,
    "NAME|HOST": complete_references,
    "HOST": complete_hosts,
    "COMMAND": complete_commands,
    "PATTERN": complete_hosts,
}
"""What completes a parameter, by its metavar without brackets and dots."""

OF_TUNNELS = {complete_tunnels, complete_groups, complete_hosts, complete_references}
"""Completers that have no meaning for the relay: its names are users of other machines."""


def bare_metavar(parameter: click.Parameter) -> str:
    """Return the metavar of a parameter without brackets and dots, such as NAME for [NAME]..."""
    metavar = parameter.metavar or (parameter.name or "").upper()
    return metavar.removesuffix("...").strip("[]")


def attach(command: click.Command, path: tuple[str, ...] = ()) -> None:
    """Let the parameters of a command, and of those below it, complete their values.

    path: the names by which the command is reached.
    """
    for parameter in command.params:
        completer = COMPLETERS.get(bare_metavar(parameter))
        if completer is None or (path[:1] == ("relay",) and completer in OF_TUNNELS):
            continue
        if path == ("add",) and completer is complete_tunnels:  # it is the name of a new one
            continue
        if parameter.type is click.STRING:  # others, such as click.Choice, know their words
            parameter.type = _CompletedText(completer)
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            attach(each, (*path, name))


class _CompletedText(click.types.StringParamType):
    """A text that a function completes."""

    def __init__(self, completer: Completer) -> None:
        self._completer = completer

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
        """Return the words that begin with the incomplete one and are not given yet."""
        given = ctx.params.get(param.name or "")
        given = given if isinstance(given, tuple) else ()
        return [
            item
            for item in self._completer(ctx, incomplete)
            if item.value.startswith(incomplete) and item.value not in given
        ]


def _item(value: str, text: str = "") -> CompletionItem[str]:
    return CompletionItem(value, help=printable(text, _HELP_LIMIT) or None)


def _config(ctx: click.Context) -> dict[str, Any]:
    """Return the config file that the command line names, or an empty one."""
    try:
        path = paths.config_path(ctx.find_root().params.get("config"), os.environ)
        return tomllib.loads(read_regular_file(path, _SIZE_LIMIT).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):  # ValueError: not UTF-8, not TOML, a NUL
        return {}


def _tables(config: dict[str, Any], section: str) -> dict[str, Any]:
    tables = config.get(section)
    return tables if isinstance(tables, dict) else {}


def _named(tables: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    for name, table in tables.items():
        if _NAME.fullmatch(name) and isinstance(table, dict):
            yield name, table


def _texts(value: object) -> list[str]:
    """Return the strings of a value that is one string or a list."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]


def _ad_hoc_tunnels(ctx: click.Context) -> Items:
    """Return the ad-hoc tunnels of a supervisor that runs and answers at once."""
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.control.client_errors import NoSupervisorError, RemoteError
    from tunnelkeeper.control.jsonrpc import ProtocolError

    options = ctx.find_root().params
    settings = Settings(options.get("config"), options.get("socket"))
    with suppress(NoSupervisorError, RemoteError, ProtocolError, OSError):
        if settings.running_socket.exists():
            with settings.client(_ANSWER_TIMEOUT) as client:
                tunnels = client.status().tunnels
            return [_item(each.name, each.host) for each in tunnels if each.ad_hoc]
    return []


def _ssh_config_hosts(config: dict[str, Any]) -> list[str]:
    """Return the names in the ssh_config that the config file names, or in ssh's own files."""
    from tunnelkeeper.importing.source_commands import UnreadableError
    from tunnelkeeper.importing.ssh_config_files import read_host_names

    file = _tables(config, "supervisor").get("ssh_config")
    if file is False:
        return []
    home = str(paths.home(os.environ))
    path = str(paths.expanded(file, os.environ)) if isinstance(file, str) else None
    try:
        return read_host_names(path, home).hosts
    except (UnreadableError, ValueError):
        return []
