"""`tunnelkeeper doctor`: find out what keeps tunnels from working, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tunnelkeeper.cli import launch
from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.json_output import is_requested, json_option, print_text, set_result
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.cli.styled_lines import print_lines, terminal_width
from tunnelkeeper.control.client_errors import NoSupervisorError
from tunnelkeeper.control.jsonrpc import ProtocolError
from tunnelkeeper.core.diagnosis import Status
from tunnelkeeper.core.doctor_checks import CHECKS
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.presentation.diagnosis_text import (
    as_objects,
    describe_as_object,
    describe_checks,
    render_findings,
)

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.core.snapshot import StatusSnapshot

_EXAMPLES = """\b
Examples:
  tunnelkeeper doctor
  tunnelkeeper doctor db --json
  tunnelkeeper doctor --check agent --check local_ports
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
@json_option("Print the findings as JSON.")
@click.pass_obj
def command(
    settings: Settings,
    names: tuple[str, ...],
    checks: tuple[str, ...],
    list_checks: bool,
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
        findings = launch.diagnose(
            settings.config, settings.running_socket, names, checks, status, problem
        )
    except KeyError as error:
        message = f"no tunnel is named {error.args[0]!r}"
        raise CommandError(message, ExitCode.NOT_FOUND, "tunnelkeeper status") from None
    set_result({"checks": as_objects(findings)})
    if not is_requested():
        print_lines(render_findings(findings, terminal_width()))
    has_failed = any(finding.result.status is Status.FAILED for finding in findings)
    return ExitCode.FAILED if has_failed else ExitCode.OK


def _status(settings: Settings) -> tuple[StatusSnapshot | None, str]:
    """Return what the supervisor of the config file reports, or why it does not."""
    try:
        with settings.client_for_config() as client:
            return client.status(), ""
    except (CommandError, NoSupervisorError, ProtocolError, TimeoutError, OSError) as error:
        return None, str(error)
