"""The completion scripts that click generates, mended for zsh. It imports nothing but click.

The Debian package takes them from here while it is built.
"""

from __future__ import annotations

from click import Command
from click.shell_completion import get_completion_class

AUTOSSH = "tunnelkeeper-autossh"
PROGRAMS = ("tunnelkeeper", AUTOSSH)
SHELLS = ("bash", "zsh", "fish")

# click's condition for being a function of $fpath holds at the first call only; at later ones its
# script registers itself again and completes nothing.
_ZSH_CONDITION = "$zsh_eval_context[-1] == loadautofunc"


def completion_script(shell: str, program: str) -> str:
    """Return the completion script of a program for a shell."""
    kind = get_completion_class(shell)
    if kind is None:
        raise ValueError(f"click has no completion for {shell}")
    text = kind(Command(program), {}, program, variable_of(program)).source()
    return text.replace(_ZSH_CONDITION, f"$funcstack[1] == _{program}")


def variable_of(program: str) -> str:
    """Return the environment variable by which a script asks for words. click derives it so."""
    return f"_{program.replace('-', '_').upper()}_COMPLETE"
