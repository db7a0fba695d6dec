"""The files of completion scripts: where a shell finds them, and how they are written."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper import paths
from tunnelkeeper.atomic_write import write_atomically
from tunnelkeeper.cli.completion_script import PROGRAMS, variable_of
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.net.regular_file import read_regular_file

if TYPE_CHECKING:
    from tunnelkeeper.paths import Environment

_BASH_COMPLETION = (
    "/usr/share/bash-completion/bash_completion",
    "/usr/local/share/bash-completion/bash_completion",
    "/usr/local/etc/profile.d/bash_completion.sh",
    "/opt/homebrew/etc/profile.d/bash_completion.sh",
    "/run/current-system/sw/share/bash-completion/bash_completion",
)
"""Where Linux distributions, Homebrew and NixOS install bash-completion, which loads the file."""


def path_for(shell: str, program: str, env: Environment) -> Path:
    """Return where a shell looks for a user's completion of a program."""
    home = paths.home(env)
    match shell:
        case "bash":  # bash-completion, "Where should I install my own local completions?"
            own = env.get("BASH_COMPLETION_USER_DIR", "").partition(":")[0]
            data = env.get("XDG_DATA_HOME", "")
            share = Path(data) if data.startswith("/") else home / ".local" / "share"
            folder = Path(own) if own.startswith("/") else share / "bash-completion"
            return folder / "completions" / program
        case "zsh":
            return home / ".zfunc" / f"_{program}"
        case "fish":
            config = env.get("XDG_CONFIG_HOME", "")
            base = Path(config) if config.startswith("/") else home / ".config"
            return base / "fish" / "completions" / f"{program}.fish"
    raise ValueError(f"not a shell: {shell}")


def install(path: Path, text: str) -> bool:
    """Write a script, and return whether the file has changed.

    Raises CommandError if a file is there that is no completion of this program, and OSError.
    """
    current = _read(path)
    if current == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode(), lambda descriptor: os.fchmod(descriptor, 0o644))
    return True


def next_steps(shell: str, folder: Path, env: Environment) -> list[str]:
    """Return what the user has to do for the scripts in a folder to be used, a line each."""
    if shell == "bash" and not any(map(os.path.exists, _BASH_COMPLETION)):
        return [
            "bash reads them only if the package bash-completion is installed. Install it, or add",
            "this line to ~/.bashrc instead:",
            '  eval "$(tunnelkeeper completion bash)"',
        ]
    if shell == "zsh" and not _is_in_fpath(folder, env):
        return [
            "zsh reads them only with these lines in ~/.zshrc, above any other compinit:",
            "  fpath=(~/.zfunc $fpath)",
            "  autoload -Uz compinit && compinit",
        ]
    if shell == "fish":
        return []
    return [f"open a new {shell} to use them"]


def _is_in_fpath(folder: Path, env: Environment) -> bool:
    """Return whether .zshrc mentions a folder."""
    zdotdir = env.get("ZDOTDIR", "")
    home = Path(zdotdir) if zdotdir.startswith("/") else paths.home(env)
    try:
        text = read_regular_file(home / ".zshrc").decode(errors="replace")
    except OSError:
        return False
    return folder.name in text


def _read(path: Path) -> str | None:
    """Return the text of our file, or None if there is no file.

    Raises CommandError for a link, or a file of another origin.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(mode):
        problem = f"{path} is a symbolic link, which is not followed"
        raise CommandError(problem, hint=f"rm {shlex.quote(str(path))}")
    text = read_regular_file(path).decode(errors="replace")
    if not any(variable_of(program) in text for program in PROGRAMS):
        problem = f"{path} was not written by tunnelkeeper and is left alone"
        raise CommandError(problem, hint=shlex.join(["mv", str(path), f"{path}.old"]))
    return text
