"""Parser for crontab(5): the @reboot lines that start ssh or autossh.

A line that restarts a tunnel on a schedule is reported and not imported.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from tunnelkeeper.importing.find_ssh_commands import find_in_shell_text
from tunnelkeeper.importing.source_commands import (
    Command,
    Finding,
    NotImportable,
    SourceCommand,
    UnreadableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_AT_BOOT = "@reboot"
_VARIABLE = re.compile(r"""\s*(["']?)([A-Za-z_][A-Za-z0-9_]*)\1\s*=\s*(.*)""")
_PERCENT = re.compile(r"(\\?)%")
_NO_COMMAND_OPTION = re.compile(r"-[A-Za-z]*N[A-Za-z]*")
_TIME_FIELD_COUNT = 5


def is_system_crontab(path: str) -> bool:
    """Return whether this is a system crontab, whose lines have a user field."""
    return path == "/etc/crontab" or path.startswith("/etc/cron.d/")


def find_crontab_commands(
    text: str,
    name: str,
    environment: Mapping[str, str],
    *,
    has_user_field: bool = False,
) -> list[Finding]:
    """Return the ssh and autossh commands that a crontab runs at boot.

    name: the crontab's name for messages. environment: the variables that cron sets itself.
    has_user_field: whether a user follows the time fields.
    """
    variables = dict(environment)
    findings: list[Finding] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if match := _VARIABLE.fullmatch(line):
            variables[match[2]] = _unquote(match[3].rstrip())
            continue
        schedule, user, entry = _split_entry(line, has_user_field=has_user_field)
        origin = f"{name}, line {number}"
        try:
            commands = find_in_shell_text(_cut_at_percent(entry), variables)
        except UnreadableError as error:
            if schedule == _AT_BOOT and "ssh" in entry:
                findings.append(NotImportable.because(origin, error))
            continue
        for command in commands:
            if schedule == _AT_BOOT:
                account, home = command.account or user, variables.get("HOME", "/")
                command_as_user = replace(command, account=account)
                findings.append(SourceCommand(command_as_user, origin, working_directory=home))
            elif _looks_like_tunnel(command):
                reason = f"it runs on a schedule ({schedule}), not at boot"
                words = shlex.join(command.arguments)
                hint = f"tunnelkeeper import {command.program} -- {words}"
                findings.append(NotImportable(origin, reason, hint=hint))
    return findings


def _looks_like_tunnel(command: Command) -> bool:
    """Return whether to report a scheduled command.

    Most scheduled ssh commands copy files or run something, and are not worth a message.
    """
    return command.program == "autossh" or any(map(_NO_COMMAND_OPTION.fullmatch, command.arguments))


def _split_entry(line: str, *, has_user_field: bool) -> tuple[str, str | None, str]:
    """Split an entry into its schedule, its user and its command."""
    rest = line.lstrip()
    fields = 1 if rest.startswith("@") else _TIME_FIELD_COUNT
    *schedule, rest = [*rest.split(None, fields), ""][: fields + 1]
    user: str | None = None
    if has_user_field:
        user, rest = [*rest.split(None, 1), "", ""][:2]
    return " ".join(schedule), user, rest


def _cut_at_percent(command: str) -> str:
    r"""Return the command before the first `%`, which starts its standard input.

    `\%` is a literal percent sign.
    """
    text = ""
    start = 0
    for match in _PERCENT.finditer(command):
        text += command[start : match.start()]
        if not match[1]:
            return text
        text += "%"
        start = match.end()
    return text + command[start:]


def _unquote(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
