"""`tunnelkeeper doctor`: find out what keeps tunnels from working, and what to do about it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from tunnelkeeper.atomic_write import write_atomically
from tunnelkeeper.cli import launch
from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.json_output import is_requested, json_option, print_text, set_result
from tunnelkeeper.cli.past_log import find_past_log
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.cli.styled_lines import print_lines, terminal_width
from tunnelkeeper.control.client_errors import NoSupervisorError, RemoteError
from tunnelkeeper.control.jsonrpc import ProtocolError
from tunnelkeeper.control.payloads import LogLines
from tunnelkeeper.core.diagnosis import Status
from tunnelkeeper.core.doctor_checks import CHECKS
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.message import Message
from tunnelkeeper.presentation.diagnosis_text import (
    as_objects,
    describe_as_object,
    describe_checks,
    render_findings,
)
from tunnelkeeper.presentation.formatting import format_size

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.core.snapshot import LogRecord, StatusSnapshot

LOG_LINES = 1000
"""The newest lines of the log that an archive has."""

_EXAMPLES = """\b
Examples:
  tunnelkeeper doctor
  tunnelkeeper doctor db --json
  tunnelkeeper doctor --check agent --check local_ports
  tunnelkeeper doctor --bundle report.tar.gz
"""


@click.command(cls=TunnelsCommand, epilog=_EXAMPLES)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--check",
    "checks",
    metavar="CHECK",
    multiple=True,
    help="Run this check, and those that it depends on; repeatable.",
)
@click.option("--list-checks", is_flag=True, help="Print the name and question of each check.")
@click.option(
    "--bundle", metavar="FILE", help="Write an archive for a bug report; it has no secrets."
)
@json_option("Print the findings as JSON.")
@click.pass_obj
def command(
    settings: Settings,
    names: tuple[str, ...],
    checks: tuple[str, ...],
    list_checks: bool,
    bundle: str | None,
) -> int:
    """Find out what keeps tunnels from working, and what to do about it.

    It looks at this machine: the config file, keys, agents, ports, limits, the supervisor and its
    unit. It connects to no server. The exit code is 1 if a check failed.
    """
    if list_checks:
        set_result({"checks": [describe_as_object(check) for check in CHECKS]})
        print_text("\n".join(describe_checks(CHECKS)))
        return ExitCode.OK
    if unknown := set(checks) - {check.name for check in CHECKS}:
        message = f"no check is named {min(unknown)!r}"
        raise CommandError(message, ExitCode.USAGE, "tunnelkeeper doctor --list-checks")
    status, problem = _status(settings)
    try:
        machine, findings = launch.diagnose(
            settings.config, settings.running_socket, names, checks, status, problem
        )
    except KeyError as error:
        message = f"no tunnel is named {error.args[0]!r}"
        raise CommandError(message, ExitCode.NOT_FOUND, "tunnelkeeper status") from None
    set_result({"checks": as_objects(findings)})
    if not is_requested():
        print_lines(render_findings(findings, terminal_width()))
    if bundle is not None:
        _write_bundle(Path(bundle), launch.bundle_files(machine, findings, _log(settings)))
    has_failed = any(finding.result.status is Status.FAILED for finding in findings)
    return ExitCode.FAILED if has_failed else ExitCode.OK


def _status(settings: Settings) -> tuple[StatusSnapshot | None, Message]:
    """Return what the supervisor of the config file reports, or why it does not."""
    try:
        with settings.client_for_config() as client:
            return client.status(), Message("")
    except (CommandError, NoSupervisorError, RemoteError, ProtocolError, OSError) as error:
        return None, Message(str(error), getattr(error, "hint", ""))


def _log(settings: Settings) -> list[LogRecord]:
    """Return the end of the log: of the supervisor, or of the last one."""
    try:
        with settings.client() as client:
            result = client.call("logs", lines=LOG_LINES)
        return msgspec.json.decode(result, type=LogLines).records
    except (NoSupervisorError, ProtocolError, RemoteError, TimeoutError, OSError):
        past = find_past_log(os.environ, settings.socket, (), LOG_LINES)
        return past.records if past is not None else []


def _write_bundle(path: Path, files: dict[str, bytes]) -> None:
    """Show the files of an archive, and write it if the person at the terminal agrees.

    Raises CommandError.
    """
    if path.exists():
        raise CommandError(f"{path} exists already", ExitCode.USAGE, "choose another name")
    names = "".join(f"\n  {name} ({format_size(len(text))})" for name, text in files.items())
    click.echo(
        f"\n{path} will have these files. They have names of hosts, users and files, and no keys,"
        f" passphrases or arguments of commands:{names}",
        err=True,
    )
    if _is_interactive() and not click.confirm("Write it?", default=True, err=True):
        return
    try:
        write_atomically(path, launch.pack(files), lambda _: None)  # only this user may read it
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from error
    click.echo(f"wrote {path}; `tar -xzf {path}` unpacks it", err=True)


def _is_interactive() -> bool:
    """Return whether a person can answer, and no program reads the output."""
    return sys.stdin.isatty() and sys.stderr.isatty() and not is_requested()
