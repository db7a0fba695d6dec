"""Search of this machine for setups that could be imported: units, crontabs and running programs.

It looks where such setups usually are, and leaves out what cannot be read. What it finds is only
described; the caller asks before anything is imported.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.importing import readers
from tunnelkeeper.importing.source_commands import (
    Command,
    NotImportable,
    SourceCommand,
    UnreadableError,
    command_for_host,
)
from tunnelkeeper.importing.ssh_config_files import read_host_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tunnelkeeper.importing.source_commands import Finding, Program
    from tunnelkeeper.sshconfig import Facts

_SSH = re.compile(r"\b(?:auto)?ssh\b")
_AUTOSSH = "autossh"
_INSTANCE = re.compile(r"[^@]+@[^@]+\.service")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where to look. root: the root folder. user_units: the folder of the user's own units."""

    facts: Facts
    user_units: Path
    root: Path = field(default_factory=lambda: Path("/"))


def find_ssh_config_hosts(file: str | None, machine: Machine) -> list[Finding]:
    """Return a command for each host of ssh_config. Most have no forwards. file: None for ssh's."""
    try:
        hosts = read_host_names(file, machine.facts.home).hosts
    except UnreadableError:
        return []
    return [command_for_host(host) for host in dict.fromkeys(hosts)]


def find_unit_commands(machine: Machine) -> list[Finding]:
    """Return the commands of the units of the system and of the user."""
    found: list[Finding] = []
    for path in _unit_files(machine):
        text = _text(path)
        if _SSH.search(text) is None:
            continue
        try:
            found += readers.read_unit_commands(str(path), machine.facts, is_user=None)
        except UnreadableError as error:
            if _AUTOSSH in text and _is_complete(path):
                found.append(NotImportable.because(str(path), error))
    return found


def find_crontab_commands(machine: Machine) -> list[Finding]:
    """Return the commands of the user's crontab and of the system's."""
    folder = machine.root / "etc" / "cron.d"
    files = [machine.root / "etc" / "crontab", *_files(folder)]
    found: list[Finding] = []
    for file in (None, *(str(path) for path in files if _SSH.search(_text(path)))):
        try:
            found += readers.read_crontab_commands(file, machine.facts)
        except UnreadableError:
            continue
    return found


def find_running_autossh(machine: Machine) -> list[SourceCommand]:
    """Return the commands of the user's running autossh processes (proc(5); none elsewhere)."""
    return find_running(machine, "autossh")


def find_running(machine: Machine, wanted: Program) -> list[SourceCommand]:
    """Return the commands of the user's running processes of a program."""
    found: list[SourceCommand] = []
    for folder in sorted((machine.root / "proc").glob("[0-9]*"), key=lambda each: int(each.name)):
        try:
            if folder.stat().st_uid != os.getuid():
                continue
            program, *arguments = _strings(folder / "cmdline") or [""]
            if program.rpartition("/")[2] != wanted:
                continue
            variables = dict(each.partition("=")[::2] for each in _strings(folder / "environ"))
            directory = str((folder / "cwd").readlink())
        except OSError:  # it has ended
            continue
        settings = {name: variables[name] for name in variables if name.startswith("AUTOSSH_")}
        command = Command(wanted, tuple(arguments), settings)
        found.append(
            SourceCommand(command, f"running process {folder.name}", working_directory=directory)
        )
    return found


def _unit_files(machine: Machine) -> Iterator[Path]:
    """Yield the files of services that an administrator or the user wrote, and their instances."""
    system = machine.root / "etc" / "systemd"
    for folder in (system / "system", system / "user", machine.user_units):
        for path in _files(folder):
            if path.suffix == ".service" and not path.is_symlink():
                yield path
        for wants in sorted(folder.glob("*.wants")):
            yield from (path for path in _files(wants) if _INSTANCE.fullmatch(path.name))


def _is_complete(path: Path) -> bool:
    """Return whether a unit is no template, of which only instances can run."""
    return not path.stem.endswith("@")


def _files(folder: Path) -> Iterable[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file())
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return readers.read_text(str(path))
    except OSError:
        return ""


def _strings(path: Path) -> list[str]:
    """Return the strings of a file of proc(5), which end with a NUL each."""
    return os.fsdecode(path.read_bytes()).split("\0")[:-1]
