"""`tunnelkeeper import ...`: old set-ups as tables of the config file.

TOML goes to standard output, or into the file with --write; what could not be imported, and why,
goes to standard error. The work is imported late, since it asks ssh.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar

import click

from tunnelkeeper.cli.settings import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.cli.import_run import ImportRun
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.importing.source_commands import Finding, Program

    Function = TypeVar("Function", bound=Callable[..., object])

_A_LINE = click.argument("line", nargs=-1, required=True, type=click.UNPROCESSED)
_NO_HOST = frozenset("*?[")


def _writing(function: Function) -> Function:
    """The options of every import."""
    for option in (
        click.option("--replace", is_flag=True, help="With --write: replace tunnels of that name."),
        click.option("--write", is_flag=True, help="Add the tunnels to the config file."),
    ):
        function = option(function)
    return function


@click.group()
def command() -> None:
    """Turn lines of autossh and ssh, units, ssh_config and crontabs into tunnels."""


@command.command()
@_writing
@_A_LINE
@click.pass_obj
def autossh(settings: Settings, line: tuple[str, ...], write: bool, replace: bool) -> int:
    """Import a line of autossh, behind `--`."""
    return _line(_run(settings, write=write, replace=replace), "autossh", line)


@command.command()
@_writing
@_A_LINE
@click.pass_obj
def ssh(settings: Settings, line: tuple[str, ...], write: bool, replace: bool) -> int:
    """Import a line of ssh, behind `--`."""
    return _line(_run(settings, write=write, replace=replace), "ssh", line)


@command.command()
@_writing
@click.option("--user/--system", default=None, help="Whose units they are [by their paths].")
@click.argument("units", nargs=-1, required=True, metavar="FILE|NAME...")
@click.pass_obj
def unit(
    settings: Settings, units: tuple[str, ...], user: bool | None, write: bool, replace: bool
) -> int:
    """Import what systemd units run.

    Each is a file, or a name that `systemctl cat` knows.
    """
    from tunnelkeeper.importing import readers
    from tunnelkeeper.importing.source_commands import NotImportable, UnreadableError

    run = _run(settings, write=write, replace=replace)
    findings: list[Finding] = []
    for each in units:
        try:
            found = readers.unit_lines(each, run.asker.facts, is_user=user)
        except UnreadableError as error:
            found = [NotImportable(each, str(error))]
        findings += found or [NotImportable(each, "it runs neither ssh nor autossh")]
    return run.end(run.asker.outcomes(findings))


@command.command()
@_writing
@click.argument("file", required=False, metavar="[FILE]")
@click.pass_obj
def crontab(settings: Settings, file: str | None, write: bool, replace: bool) -> int:
    """Import @reboot lines of a crontab.

    It is a file, or your own by `crontab -l`.
    """
    from tunnelkeeper.importing import readers
    from tunnelkeeper.importing.source_commands import UnreadableError

    run = _run(settings, write=write, replace=replace)
    try:
        findings = readers.crontab_lines(file, run.asker.facts)
    except UnreadableError as error:
        raise CommandError(str(error)) from error
    if not findings:
        raise CommandError(f"{file or 'crontab -l'}: no line starts ssh or autossh")
    return run.end(run.asker.outcomes(findings))


@command.command("ssh-config")
@_writing
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.pass_obj
def ssh_config(settings: Settings, patterns: tuple[str, ...], write: bool, replace: bool) -> int:
    """Import hosts of ssh_config with forwards.

    All of them, or those that match a PATTERN; a name is asked for in any case.
    """
    from tunnelkeeper.cli.import_run import say
    from tunnelkeeper.importing import readers
    from tunnelkeeper.importing.source_commands import NotImportable, UnreadableError, line_of_host

    run = _run(settings, write=write, replace=replace)
    if run.asker.ours is False:
        raise CommandError(
            f"{settings.config} has ssh_config = false, so tunnels would find no hosts"
        )
    try:
        names = readers.ssh_config_names(run.asker.ours, run.asker.facts)
    except UnreadableError as error:
        raise CommandError(str(error)) from error
    known = [name for name in names.hosts if not patterns or _matches(name, patterns)]
    named = [each for each in patterns if _NO_HOST.isdisjoint(each)]
    hosts = list(dict.fromkeys([*known, *named]))
    outcomes = run.asker.of_our_hosts().outcomes([line_of_host(host) for host in hosts])
    others = [each for each in dict.fromkeys(names.patterns) if each != "*"]
    if others and not patterns:
        skipped = ", ".join(others)
        say(f"patterns are skipped: {skipped} (a host that one is for can be named)")
    meant = [
        outcome
        for host, outcome in zip(hosts, outcomes, strict=True)
        if host in named or not (isinstance(outcome, NotImportable) and outcome.forwards_nothing)
    ]
    if not meant:
        raise CommandError(
            "no host of ssh_config has forwards" + (" and matches" if patterns else "")
        )
    return run.end(meant)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _run(settings: Settings, *, write: bool, replace: bool) -> ImportRun:
    from tunnelkeeper.cli.import_run import ImportRun

    return ImportRun(settings, write=write, replace=replace)


def _line(run: ImportRun, program: Program, words: tuple[str, ...]) -> int:
    """A line as a person has it: with the program's name and variables in front, or without."""
    from tunnelkeeper.importing.find_ssh_commands import commands_of_words
    from tunnelkeeper.importing.source_commands import NotImportable, SourceCommand, UnreadableError

    origin = f"a command line of {program}"
    variables = {name: value for name, value in os.environ.items() if name.startswith("AUTOSSH_")}
    findings: list[Finding]
    try:
        commands = commands_of_words(program, words, variables)
        findings = [SourceCommand(each, origin, folder=run.asker.facts.cwd) for each in commands]
    except UnreadableError as error:
        findings = [NotImportable(origin, str(error))]
    return run.end(run.asker.outcomes(findings))
