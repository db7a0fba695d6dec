"""`tunnelkeeper completion`: print the completion script of a shell, or install it.

click generates the scripts; `completers` has the words of our own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

from tunnelkeeper.cli import completion_file
from tunnelkeeper.cli.completion_file import PROGRAM, SHELLS, VARIABLE
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

# A file in $fpath is the function _tunnelkeeper. Only its first call is in the context
# loadautofunc; in later calls click's script registers itself again and completes nothing.
_ZSH_CONDITION = "$zsh_eval_context[-1] == loadautofunc"
_ZSH_CONDITION_OF_EVERY_CALL = f"{_ZSH_CONDITION} || $funcstack[1] == _{PROGRAM}"


@click.group()
def command() -> None:
    """Let a shell complete commands, options, tunnels, groups, hosts and files.

    `completion install` is enough. The other commands print the script, for example for
    ~/.bashrc: eval "$(tunnelkeeper completion bash)"
    """


@command.command(short_help="install the script for your shell")
@click.argument("shell", metavar="[bash|zsh|fish]", type=click.Choice(SHELLS), required=False)
@click.pass_context
def install(ctx: click.Context, shell: str | None) -> int:
    """Write the script to where the shell finds it; without a name, your shell's, from $SHELL.

    Writes the same file again after an upgrade.
    """
    shell = shell or Path(os.environ.get("SHELL", "")).name
    if shell not in SHELLS:
        known = ", ".join(SHELLS)
        problem = f"cannot tell your shell from $SHELL, which is {shell or 'not set'}"
        raise click.UsageError(f"{problem}; name one of {known}: completion install bash", ctx)
    path = completion_file.path_for(shell, os.environ)
    changed = completion_file.install(path, script(shell, ctx))
    click.echo(f"wrote {path}" if changed else f"{path} is up to date")
    for line in completion_file.next_steps(shell, path, os.environ):
        click.echo(line)
    return ExitCode.OK


def script(shell: str, ctx: click.Context) -> str:
    """Return the completion script of a shell."""
    root = ctx.find_root()
    kind = get_completion_class(shell)
    if kind is None:
        raise ValueError(f"click has no completion for {shell}")
    text = kind(root.command, {}, PROGRAM, VARIABLE).source()
    return text.replace(_ZSH_CONDITION, _ZSH_CONDITION_OF_EVERY_CALL)


def _printer(shell: str) -> Callable[[click.Context], int]:
    def show(ctx: click.Context) -> int:
        click.echo(script(shell, ctx), nl=False)
        return ExitCode.OK

    show.__doc__ = f"Print the completion script of {shell}."
    return show


for _shell in SHELLS:
    command.command(_shell)(click.pass_context(_printer(_shell)))
