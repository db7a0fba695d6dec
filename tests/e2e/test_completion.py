"""Completion in real shells on a terminal: keys are pressed, and the line is read."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.program import SOURCE
from tests.e2e.terminal import Terminal
from tests.requirements import require
from tunnelkeeper.cli.main import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROMPT = "ready> "
CONFIG = """
[tunnels.database]
host = "relay"
groups = "working"
"""

INTERACTIVE = {
    "bash": ("--noprofile", "-i"),
    "zsh": ("-i",),
    "fish": ("-i",),
}
BASH_FILES = "~/.local/share/bash-completion/completions/*"
START_FILES = {
    "bash": (".bashrc", f'PS1="{PROMPT}"\nfor file in {BASH_FILES}; do . "$file"; done\n'),
    "zsh": (
        ".zshrc",
        f'PS1="{PROMPT}"\nfpath=(~/.zfunc $fpath)\nautoload -Uz compinit && compinit -u\n',
    ),
    "fish": (
        ".config/fish/config.fish",
        f"function fish_prompt; echo -n '{PROMPT}'; end\nset -g fish_autosuggestion_enabled 0\n",
    ),
}
"""The start file of each shell. bash sources what the package bash-completion would load."""

MODULES = {
    "tunnelkeeper": "tunnelkeeper.cli.main",
    "tunnelkeeper-autossh": "tunnelkeeper.cli.autossh",
}

LINES = [
    ("tunnelkeeper stat", "tunnelkeeper status"),
    ("tunnelkeeper up --det", "tunnelkeeper up --detach"),
    ("tunnelkeeper up dat", "tunnelkeeper up database"),
    ("tunnelkeeper up --group w", "tunnelkeeper up --group working"),
    ("tunnelkeeper connect off", "tunnelkeeper connect office"),
    ("tunnelkeeper --config notes-", "tunnelkeeper --config notes-of-mine.toml"),
    ("tunnelkeeper relay unb", "tunnelkeeper relay unban"),
    ("tunnelkeeper-autossh -M 0 off", "tunnelkeeper-autossh -M 0 office"),
    ("tunnelkeeper-autossh -i notes-", "tunnelkeeper-autossh -i notes-of-mine.toml"),
]
"""What is typed, and what the line is after the tabulator."""


@pytest.fixture(params=INTERACTIVE)
def shell(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Terminal]:
    """Run a shell for which `completion install` was run, in a home of its own."""
    name: str = request.param
    executable = require(name)
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "BASH_COMPLETION_USER_DIR", "ZDOTDIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(["completion", "install", name]) == 0
    _write_files(tmp_path, name)
    terminal = Terminal(tmp_path / "tmux", columns=100, rows=30)
    environment = {
        "HOME": str(tmp_path),
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
    }
    try:
        arguments = [*INTERACTIVE[name]]
        command = f'cd "$HOME" && exec {executable} {" ".join(arguments)}'
        terminal.run(["sh", "-c", command], environment)
        terminal.wait_for_text(PROMPT.strip())
        yield terminal
    finally:
        terminal.close()


def _write_files(home: Path, shell: str) -> None:
    (home / "bin").mkdir()
    for program, module in MODULES.items():
        text = f"import {module}; {module}.main()"
        script = home / "bin" / program
        script.write_text(
            f'#!/bin/sh\nPYTHONPATH={SOURCE} exec {sys.executable} -c "{text}" "$@"\n'
        )
        script.chmod(0o755)
    name, text = START_FILES[shell]
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).write_text(text)
    (home / ".ssh").mkdir()
    (home / ".ssh" / "config").write_text("Host office\n")
    (home / "notes-of-mine.toml").touch()
    config = home / ".config" / "tunnelkeeper" / "tunnels.toml"
    config.parent.mkdir(parents=True)
    config.write_text(CONFIG)


def test_a_shell_completes_what_was_typed(shell: Terminal) -> None:
    for typed, completed in LINES:
        shell.write(typed)
        shell.wait_for_text(f"{PROMPT}{typed}")
        shell.press("Tab")

        shell.wait_for_text(f"{PROMPT}{completed}")

        shell.press("C-u", "C-l")
        shell.wait_for_text(PROMPT.strip(), without="tunnelkeeper")
