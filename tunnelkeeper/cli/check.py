"""`tunnelkeeper check`: print the problems of a config file, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from tunnelkeeper.cli import launch
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print problems and warnings as JSON.")
@click.pass_obj
def command(settings: Settings, as_json: bool) -> int:
    """Validate the config file and everything it names; connect to nothing.

    Prints nothing if the file is valid. Problems make the exit code 2, warnings do not.
    """
    findings = launch.check(settings.config)
    if as_json:
        click.echo(
            msgspec.json.encode({"problems": findings.problems, "warnings": findings.warnings})
        )
    else:
        print_findings(findings)
    return ExitCode.USAGE if findings.problems else ExitCode.OK


def print_findings(findings: launch.Findings) -> None:
    """Print problems and warnings to stderr, a line each."""
    for problem in findings.problems:
        click.echo(problem, err=True)
    for warning in findings.warnings:
        click.echo(f"warning: {warning}", err=True)
