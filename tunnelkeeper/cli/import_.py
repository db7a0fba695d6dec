"""`tunnelkeeper import ...`: existing setups as tables of the config file.

TOML goes to standard output, or into the file with --write. What cannot be imported is reported on
standard error with its reason. The implementation is imported late, since it runs ssh.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar

import click

from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.json_output import json_option
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.core.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.cli.import_run import ImportRun
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.importing.source_commands import Finding, Program

    Function = TypeVar("Function", bound=Callable[..., object])

_COMMAND_LINE = click.argument("line", nargs=-1, required=True, type=click.UNPROCESSED)
_NO_HOST = frozenset("*?[")


def _write_options(function: Function) -> Function:
    """Add the options of every import to a command."""
    for option in (
        json_option("Print the tunnels, and what was not imported, as JSON."),
        click.option(
            "--trust", is_flag=True, help="Read files that another user could have written."
        ),
        click.option("--replace", is_flag=True, help="With --write: replace tunnels of that name."),
        click.option("--write", is_flag=True, help="Add the tunnels to the config file."),
    ):
        function = option(function)
    return function


_AUTOSSH_EXAMPLES = """\b
Examples:
  tunnelkeeper import autossh -- -M 0 -f -N -L 5432:db:5432 me@relay
  tunnelkeeper import autossh --write -- -M 0 -N -D 1080 me@relay
"""
_SSH_EXAMPLES = """\b
Examples:
  tunnelkeeper import ssh -- -N -L 5432:db:5432 me@relay
"""
_UNIT_EXAMPLES = """\b
Examples:
  tunnelkeeper import unit --write autossh-db.service autossh@relay.service
  tunnelkeeper import unit /etc/systemd/system/tunnel.service --json
"""
_CRONTAB_EXAMPLES = """\b
Examples:
  tunnelkeeper import crontab
  tunnelkeeper import crontab /etc/cron.d/tunnels --write
"""
_SSH_CONFIG_EXAMPLES = """\b
Examples:
  tunnelkeeper import ssh-config
  tunnelkeeper import ssh-config 'relay-*' --write
"""
_EXAMPLES = """\b
Examples:
  tunnelkeeper import unit --write autossh-db.service autossh@relay.service
  tunnelkeeper import ssh-config
  tunnelkeeper import autossh -- -M 0 -f -N -L 5432:db:5432 me@relay
"""


@click.group(epilog=_EXAMPLES)
def command() -> None:
    """Convert autossh and ssh command lines, units, ssh_config and crontabs to tunnels."""


@command.command(
    short_help="an autossh command line, after `--`", cls=TunnelsCommand, epilog=_AUTOSSH_EXAMPLES
)
@_write_options
@_COMMAND_LINE
@click.pass_obj
def autossh(
    settings: Settings, line: tuple[str, ...], write: bool, replace: bool, trust: bool
) -> int:
    """Import an autossh command line, after `--`."""
    return _import_command_line(
        _run(settings, write=write, replace=replace, trust=trust), "autossh", line
    )


@command.command(
    short_help="an ssh command line, after `--`", cls=TunnelsCommand, epilog=_SSH_EXAMPLES
)
@_write_options
@_COMMAND_LINE
@click.pass_obj
def ssh(settings: Settings, line: tuple[str, ...], write: bool, replace: bool, trust: bool) -> int:
    """Import an ssh command line, after `--`."""
    return _import_command_line(
        _run(settings, write=write, replace=replace, trust=trust), "ssh", line
    )


@command.command(
    short_help="the command lines of systemd units", cls=TunnelsCommand, epilog=_UNIT_EXAMPLES
)
@_write_options
@click.option("--user/--system", default=None, help="The kind of the units [by their paths].")
@click.argument("units", nargs=-1, required=True, metavar="FILE|NAME...")
@click.pass_obj
def unit(
    settings: Settings,
    units: tuple[str, ...],
    user: bool | None,
    write: bool,
    replace: bool,
    trust: bool,
) -> int:
    """Import the command lines of systemd units.

    Each argument is a file, or a name that `systemctl cat` knows.
    """
    from tunnelkeeper.importing import readers
    from tunnelkeeper.importing.source_commands import NotImportable, UnreadableError

    run = _run(settings, write=write, replace=replace, trust=trust)
    findings: list[Finding] = []
    for each in units:
        try:
            found = readers.read_unit_commands(
                each, run.resolver.facts, is_user=user, trusts_files=trust
            )
        except UnreadableError as error:
            found = [NotImportable.because(each, error)]
        findings += found or [NotImportable(each, "it runs neither ssh nor autossh")]
    return run.finish(run.resolver.resolve(findings))


@command.command(
    short_help="the @reboot lines of a crontab", cls=TunnelsCommand, epilog=_CRONTAB_EXAMPLES
)
@_write_options
@click.argument("file", required=False, metavar="[FILE]")
@click.pass_obj
def crontab(settings: Settings, file: str | None, write: bool, replace: bool, trust: bool) -> int:
    """Import @reboot lines of a crontab.

    FILE is a crontab; without it, your own by `crontab -l`.
    """
    from tunnelkeeper.importing import readers
    from tunnelkeeper.importing.source_commands import UnreadableError

    run = _run(settings, write=write, replace=replace, trust=trust)
    try:
        findings = readers.read_crontab_commands(file, run.resolver.facts, trusts_file=trust)
    except UnreadableError as error:
        raise CommandError(str(error), hint=error.hint) from error
    if not findings:
        raise CommandError(f"{file or 'crontab -l'}: no line starts ssh or autossh")
    return run.finish(run.resolver.resolve(findings))


@command.command(
    "ssh-config",
    short_help="the hosts of ssh_config that have forwards",
    cls=TunnelsCommand,
    epilog=_SSH_CONFIG_EXAMPLES,
)
@_write_options
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.pass_obj
def ssh_config(
    settings: Settings, patterns: tuple[str, ...], write: bool, replace: bool, trust: bool
) -> int:
    """Import hosts of ssh_config that have forwards.

    All of them, or those that match a PATTERN. A name is imported in any case.
    """
    from tunnelkeeper.importing.source_commands import (
        NotImportable,
        UnreadableError,
        command_for_host,
    )
    from tunnelkeeper.importing.ssh_config_files import read_host_names

    run = _run(settings, write=write, replace=replace, trust=trust)
    if run.resolver.target_ssh_config is False:
        raise CommandError(
            f"{settings.config} has ssh_config = false, so tunnels would find no hosts"
        )
    try:
        names = read_host_names(run.resolver.target_ssh_config, run.resolver.facts.home)
    except UnreadableError as error:
        raise CommandError(str(error), hint=error.hint) from error
    known = [name for name in names.hosts if not patterns or _matches(name, patterns)]
    named = [each for each in patterns if _NO_HOST.isdisjoint(each)]
    hosts = list(dict.fromkeys([*known, *named]))
    outcomes = run.resolver.for_target_hosts().resolve([command_for_host(host) for host in hosts])
    others = [each for each in dict.fromkeys(names.patterns) if each != "*"]
    if others and not patterns:
        skipped = ", ".join(others)
        run.warn(Message(f"patterns are skipped: {skipped}", "name a host to import it"))
    meant = [
        outcome
        for host, outcome in zip(hosts, outcomes, strict=True)
        if host in named or not (isinstance(outcome, NotImportable) and outcome.forwards_nothing)
    ]
    if not meant:
        raise CommandError(
            "no host of ssh_config has forwards" + (" and matches" if patterns else "")
        )
    return run.finish(meant)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _run(settings: Settings, *, write: bool, replace: bool, trust: bool) -> ImportRun:
    from tunnelkeeper.cli.import_run import ImportRun

    return ImportRun(settings, write=write, replace=replace, trust=trust)


def _import_command_line(run: ImportRun, program: Program, arguments: tuple[str, ...]) -> int:
    """Import a command line, with or without the program's name and variables in front."""
    from tunnelkeeper.importing.find_ssh_commands import find_in_pasted_words
    from tunnelkeeper.importing.source_commands import NotImportable, SourceCommand, UnreadableError

    origin = f"a command line of {program}"
    variables = {name: value for name, value in os.environ.items() if name.startswith("AUTOSSH_")}
    findings: list[Finding]
    try:
        commands = find_in_pasted_words(program, arguments, variables)
        findings = [
            SourceCommand(each, origin, working_directory=run.resolver.facts.cwd)
            for each in commands
        ]
    except UnreadableError as error:
        findings = [NotImportable.because(origin, error)]
    return run.finish(run.resolver.resolve(findings))
