"""`tunnelkeeper completion`: print the completion scripts of a shell, or install them.

click generates the scripts; `completers` has the words of our own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunnelkeeper.cli import completion_file
from tunnelkeeper.cli.completion_script import PROGRAMS, SHELLS, completion_script
from tunnelkeeper.cli.usage_hints import HintedUsageError
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable


_PRINT_EXAMPLES = """\b
Examples:
  tunnelkeeper completion {shell}
"""
_INSTALL_EXAMPLES = """\b
Examples:
  tunnelkeeper completion install
  tunnelkeeper completion install zsh
"""
_EXAMPLES = """\b
Examples:
  tunnelkeeper completion install
  tunnelkeeper completion install zsh
  eval "$(tunnelkeeper completion bash)"
"""


@click.group(epilog=_EXAMPLES)
def command() -> None:
    """Let a shell complete commands, options, tunnels, groups, hosts and files.

    `completion install` is enough. The other commands print the scripts, for example for
    ~/.bashrc: eval "$(tunnelkeeper completion bash)"
    """


@command.command(
    short_help="write the scripts to where your shell finds them", epilog=_INSTALL_EXAMPLES
)
@click.argument("shell", metavar="[bash|zsh|fish]", type=click.Choice(SHELLS), required=False)
@click.pass_context
def install(ctx: click.Context, shell: str | None) -> int:
    """Write the scripts to where the shell finds them; without a name, your shell's, from $SHELL.

    Run it again after an upgrade.
    """
    shell = shell or Path(os.environ.get("SHELL", "")).name
    if shell not in SHELLS:
        known = ", ".join(SHELLS)
        problem = f"cannot tell your shell from $SHELL, which is {shell or 'not set'}"
        hint = f"name it, one of {known}: `tunnelkeeper completion install bash`"
        raise HintedUsageError(problem, hint, ctx)
    paths = {name: completion_file.path_for(shell, name, os.environ) for name in PROGRAMS}
    for program, path in paths.items():
        changed = completion_file.install(path, completion_script(shell, program))
        click.echo(f"wrote {path}" if changed else f"{path} is up to date")
    for line in completion_file.next_steps(shell, paths[PROGRAMS[0]].parent, os.environ):
        click.echo(line)
    return ExitCode.OK


def _printer(shell: str) -> Callable[[], int]:
    def show() -> int:
        for program in PROGRAMS:
            click.echo(completion_script(shell, program), nl=False)
        return ExitCode.OK

    show.__doc__ = f"Print the completion scripts of {shell}."
    return show


for _shell in SHELLS:
    command.command(
        _shell,
        short_help=f"print the completion scripts of {_shell}",
        epilog=_PRINT_EXAMPLES.format(shell=_shell),
    )(_printer(_shell))
