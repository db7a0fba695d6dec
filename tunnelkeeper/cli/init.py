"""`tunnelkeeper init`: write a first config file, and offer to import what this machine has."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

import click

from tunnelkeeper import paths
from tunnelkeeper.cli import config_change
from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.json_output import is_requested, json_option, print_text, set_result
from tunnelkeeper.cli.results import Created
from tunnelkeeper.cli.schema import schema_text
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.config.starter import SCHEMA_FILE, STARTER
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.file_creation import open_to_write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.importing.deduplicate import Outcome
    from tunnelkeeper.importing.source_commands import Finding, ImportedTunnel
    from tunnelkeeper.importing.ssh_g_resolver import Resolver

_EXAMPLES = """\b
Examples:
  tunnelkeeper init
  tunnelkeeper init --no-import
"""
_LINE_LIMIT = 300


@click.command(cls=TunnelsCommand, epilog=_EXAMPLES)
@click.option("--no-import", is_flag=True, help="Do not look for setups to import.")
@json_option("Print the files as JSON, and look for no setups to import.")
@click.pass_obj
def command(settings: Settings, no_import: bool) -> int:
    """Write a commented config file, and its schema for editors beside it.

    On a terminal it looks for tunnels of ssh_config, of systemd units, of crontabs and of running
    autossh processes, and asks before it imports them. No file is overwritten.
    """
    path = settings.config
    if path.exists() or path.is_symlink():
        raise CommandError(
            f"{config_change.shown(path)} exists already",
            ExitCode.USAGE,
            "`tunnelkeeper edit` opens it, `tunnelkeeper add` adds a tunnel",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    _create(path, STARTER)
    created = [str(path)]
    print_text(f"created {config_change.shown(path)}")
    schema = path.with_name(SCHEMA_FILE)
    if not schema.exists():
        _create(schema, schema_text("tunnels"))
        created.append(str(schema))
        print_text(f"created {config_change.shown(schema)}, which editors read")
    set_result(Created(str(path), created))
    asks = not (no_import or is_requested()) and is_interactive()
    has_tunnels = asks and _offer_imports(settings)
    print_text("\nNext:")
    for line, meaning in _next_steps(has_tunnels=has_tunnels):
        print_text(f"  {line}\n      {meaning}")
    return ExitCode.OK


def is_interactive() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _create(path: Path, text: str) -> None:
    """Create a file that does not exist. Raises OSError."""
    descriptor = open_to_write(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  a descriptor
        file.write(text)


def _next_steps(*, has_tunnels: bool) -> list[tuple[str, str]]:
    """Return command lines, and what they do."""
    if has_tunnels:
        return [
            ("tunnelkeeper check", "validate the file and everything it names"),
            ("tunnelkeeper up --detach", "start all tunnels in the background"),
        ]
    return [
        (
            "tunnelkeeper add db me@relay.example.com -L 5432:db.internal:5432 --up",
            "add a tunnel and start it",
        ),
        ("tunnelkeeper edit", "write tunnels by hand"),
    ]


def _offer_imports(settings: Settings) -> bool:
    """Ask which tunnels of this machine to import, and write them. Return whether any was."""
    from tunnelkeeper.cli.import_run import ImportRun
    from tunnelkeeper.importing import found_setups

    run = ImportRun(settings, write=True, replace=False, trust=False)
    try:
        resolver = run.resolver
    except CommandError as error:  # ssh is not installed
        click.echo(f"nothing was searched for tunnels to import: {error}", err=True)
        return False
    machine = found_setups.Machine(resolver.facts, paths.user_units_folder(os.environ))
    hosts = found_setups.find_ssh_config_hosts(None, machine)
    groups: tuple[tuple[str, Resolver, Sequence[Finding]], ...] = (
        ("ssh_config", resolver.for_target_hosts(), hosts),
        ("systemd units", resolver, found_setups.find_unit_commands(machine)),
        ("crontabs", resolver, found_setups.find_crontab_commands(machine)),
        ("running autossh processes", resolver, found_setups.find_running_autossh(machine)),
    )
    accepted: list[ImportedTunnel] = []
    is_held_elsewhere = False
    seen: list[object] = []
    for kind, group_resolver, findings in groups:
        if not findings:
            continue
        tunnels = _new_tunnels(group_resolver.resolve(findings), seen)
        if tunnels and _is_accepted(kind, tunnels):
            accepted += tunnels
            is_held_elsewhere |= findings is not hosts
    if not accepted:
        return False
    click.echo()
    run.finish(accepted)
    if is_held_elsewhere:
        click.echo(
            "\nThe old units, crontabs and processes still hold their tunnels: stop them first."
        )
    return True


def _new_tunnels(outcomes: Sequence[Outcome], seen: list[object]) -> list[ImportedTunnel]:
    """Return the tunnels that were not found elsewhere. Report what cannot be imported.

    seen: the tables so far, to which those of the result are added. A unit, for example, may be
    running as a process.
    """
    from tunnelkeeper.cli.import_run import report
    from tunnelkeeper.importing.source_commands import NotImportable

    tunnels = []
    for outcome in outcomes:
        if isinstance(outcome, NotImportable):
            if not outcome.forwards_nothing:
                report(outcome.message.about("cannot be imported"))
            continue
        table = {key: outcome.table.get(key) for key in ("host", "local", "remote", "socks")}
        if table not in seen:
            seen.append(table)
            tunnels.append(outcome)
    return tunnels


def _is_accepted(kind: str, tunnels: Sequence[ImportedTunnel]) -> bool:
    """Show tunnels, and ask whether to import them."""
    count = f"{len(tunnels)} {'tunnel' if len(tunnels) == 1 else 'tunnels'}"
    click.echo(f"\n{count} found in {kind}:")
    for tunnel in tunnels:
        click.echo(f"  {printable(_describe(tunnel), _LINE_LIMIT)}")
    return click.confirm("Import?", default=True)


def _describe(tunnel: ImportedTunnel) -> str:
    """Return a tunnel as ssh would be called, and where it was found."""
    words = [str(tunnel.table["host"])]
    for kind, option in (("local", "-L"), ("remote", "-R"), ("socks", "-D")):
        specs = tunnel.table.get(kind, ())
        for spec in specs if isinstance(specs, list) else [specs] if specs else []:
            words += [option, str(spec)]
    return f"{tunnel.name}: {shlex.join(words)}  ({tunnel.origin})"
