"""Reads a crontab, as crontab(5) has it, for the lines that start ssh or autossh at boot.

Lines that run at times are tunnels that somebody restarts by the clock: they are named and left.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from tunnelkeeper.importing.find_ssh_commands import in_shell
from tunnelkeeper.importing.source_commands import (
    Command,
    Finding,
    NotImportable,
    SourceCommand,
    UnreadableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

AT_BOOT = "@reboot"
_VARIABLE = re.compile(r"""\s*(["']?)([A-Za-z_][A-Za-z0-9_]*)\1\s*=\s*(.*?)\s*""")
_PERCENT = re.compile(r"(\\?)%")
_NO_COMMAND = re.compile(r"-[A-Za-z]*N[A-Za-z]*")
_FIELDS_OF_TIME = 5


def with_users(path: str) -> bool:
    """Whether a file is one of the system's, whose lines name a user."""
    return path == "/etc/crontab" or path.startswith("/etc/cron.d/")


def lines_of_crontab(
    text: str,
    called: str,
    environment: Mapping[str, str],
    *,
    has_users: bool = False,
) -> list[Finding]:
    """What is found in a crontab.

    called: what to call it. environment: what cron sets by itself. has_users: a field
    behind the time is a user.
    """
    variables = dict(environment)
    found: list[Finding] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if match := _VARIABLE.fullmatch(line):
            variables[match[2]] = _unquoted(match[3])
            continue
        schedule, user, command = _entry(line, has_users=has_users)
        origin = f"{called}, line {number}"
        try:
            commands = in_shell(_without_percents(command), variables)
        except UnreadableError as error:
            if schedule == AT_BOOT and "ssh" in command:
                found.append(NotImportable(origin, str(error)))
            continue
        for each in commands:
            if schedule == AT_BOOT:
                account, home = each.account or user, variables.get("HOME", "/")
                found.append(SourceCommand(replace(each, account=account), origin, folder=home))
            elif _looks_like_a_tunnel(each):
                takes = f"`tunnelkeeper import {each.program} -- LINE` takes it"
                found.append(NotImportable(origin, f"it runs by the clock ({schedule}); {takes}"))
    return found


def _looks_like_a_tunnel(command: Command) -> bool:
    """Whether it is worth a word that it is left: ssh by the clock mostly copies or runs things."""
    return command.program == "autossh" or any(map(_NO_COMMAND.fullmatch, command.arguments))


def _entry(line: str, *, has_users: bool) -> tuple[str, str | None, str]:
    """When, as whom, and what."""
    rest = line.lstrip()
    fields = 1 if rest.startswith("@") else _FIELDS_OF_TIME
    *schedule, rest = [*rest.split(None, fields), ""][: fields + 1]
    user: str | None = None
    if has_users:
        user, rest = [*rest.split(None, 1), "", ""][:2]
    return " ".join(schedule), user, rest


def _without_percents(command: str) -> str:
    r"""A command up to its first `%`, behind which stands its input; `\%` is a percent sign."""
    text = ""
    at = 0
    for match in _PERCENT.finditer(command):
        text += command[at : match.start()]
        if not match[1]:
            return text
        text += "%"
        at = match.end()
    return text + command[at:]


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
