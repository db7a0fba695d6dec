"""`tunnelkeeper check`: print the problems of a config file, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from tunnelkeeper.cli import launch
from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.json_output import is_requested, json_option, set_result
from tunnelkeeper.cli.message_output import print_message, print_messages
from tunnelkeeper.config import Problem
from tunnelkeeper.control.unix_socket import path_problem
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings

Severity = Literal["error", "warning"]


_EXAMPLES = """\b
Examples:
  tunnelkeeper check
  tunnelkeeper check --json
"""


@click.command(cls=TunnelsCommand, epilog=_EXAMPLES)
@json_option("Print problems and warnings as JSON.")
@click.pass_obj
def command(settings: Settings) -> int:
    """Validate the config file and everything it names; connect to nothing.

    Prints nothing if the file is valid. Problems make the exit code 2, warnings do not.
    """
    findings = launch.check(settings.config)
    if problem := path_problem(settings.socket):
        findings.problems.append(Problem(str(settings.socket), None, "", problem))
    return report_findings(findings)


def report_findings(findings: launch.Findings) -> int:
    """Print the result of a check. Return the exit code."""
    set_result(
        {
            "problems": [_as_object(each, "error") for each in findings.problems],
            "warnings": [_as_object(each, "warning") for each in findings.warnings],
        }
    )
    if not is_requested():
        print_findings(findings)
    return ExitCode.USAGE if findings.problems else ExitCode.OK


def _as_object(problem: Problem, severity: Severity) -> dict[str, object]:
    return {
        "severity": severity,
        "file": problem.path,
        "line": problem.line,
        "key": problem.key,
        "message": problem.message,
        "hint": problem.hint,
    }


def print_findings(findings: launch.Findings) -> None:
    """Print problems and warnings to stderr, a line each, and their hints below."""
    for problem in findings.problems:
        print_messages([problem.full_message])
    for warning in findings.warnings:
        print_message(f"warning: {warning}", warning.hint)
