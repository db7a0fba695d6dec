"""`tunnelkeeper completion`: print the completion scripts of a shell, or install them.

click generates the scripts; `completers` has the words of our own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

from tunnelkeeper.cli import completion_file
from tunnelkeeper.cli.completion_file import PROGRAMS, SHELLS, variable_of
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

# click's condition for being a function of $fpath holds at the first call only; at later ones its
# script registers itself again and completes nothing.
_ZSH_CONDITION = "$zsh_eval_context[-1] == loadautofunc"


@click.group()
def command() -> None:
    """Let a shell complete commands, options, tunnels, groups, hosts and files.

    `completion install` is enough. The other commands print the scripts, for example for
    ~/.bashrc: eval "$(tunnelkeeper completion bash)"
    """


@command.command(short_help="write the scripts to where your shell finds them")
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
        raise click.UsageError(f"{problem}; name one of {known}: completion install bash", ctx)
    paths = {name: completion_file.path_for(shell, name, os.environ) for name in PROGRAMS}
    for program, path in paths.items():
        changed = completion_file.install(path, script(shell, program, ctx))
        click.echo(f"wrote {path}" if changed else f"{path} is up to date")
    for line in completion_file.next_steps(shell, paths[PROGRAMS[0]].parent, os.environ):
        click.echo(line)
    return ExitCode.OK


def script(shell: str, program: str, ctx: click.Context) -> str:
    """Return the completion script of a program for a shell."""
    kind = get_completion_class(shell)
    if kind is None:
        raise ValueError(f"click has no completion for {shell}")
    text = kind(ctx.find_root().command, {}, program, variable_of(program)).source()
    return text.replace(_ZSH_CONDITION, f"$funcstack[1] == _{program}")


def _printer(shell: str) -> Callable[[click.Context], int]:
    def show(ctx: click.Context) -> int:
        for program in PROGRAMS:
            click.echo(script(shell, program, ctx), nl=False)
        return ExitCode.OK

    show.__doc__ = f"Print the completion scripts of {shell}."
    return show


for _shell in SHELLS:
    command.command(_shell)(click.pass_context(_printer(_shell)))
