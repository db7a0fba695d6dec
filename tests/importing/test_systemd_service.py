"""Tests for the commands of a service, including incomplete and invalid units."""

from __future__ import annotations

import pytest

from tunnelkeeper.importing.source_commands import NotImportable, SourceCommand
from tunnelkeeper.importing.specifiers import UnitName
from tunnelkeeper.importing.systemd_service import Service, find_service_commands

HOMES = {"root": "/root", "ann": "/home/ann"}
FILES = {"/etc/env": "PORT=22\nHOST=relay\n"}


def find(*lines: str, is_user: bool = False) -> list[SourceCommand | NotImportable]:
    text = "\n".join(("[Service]", *lines, ""))
    account = "ann" if is_user else "root"
    service = Service(UnitName("t.service"), "t", text, {"h": "/root"}, account, is_user)
    return find_service_commands(service, read_file, HOMES.get)


def read_file(path: str) -> str:
    if path not in FILES:
        raise FileNotFoundError(path)
    return FILES[path]


def find_one(*lines: str, is_user: bool = False) -> SourceCommand:
    [only] = find(*lines, is_user=is_user)
    assert isinstance(only, SourceCommand), only
    return only


def refusal(*lines: str) -> str:
    [only] = find(*lines)
    assert isinstance(only, NotImportable), only
    return only.reason


def test_an_unset_variable_is_empty_as_in_systemd() -> None:
    optional = "EnvironmentFile=-/nowhere"

    assert find_one(optional, "ExecStart=ssh $A -N a${B}b").command.arguments == ("-N", "ab")


def test_a_variable_that_an_unreadable_file_may_set_is_refused() -> None:
    missing = "EnvironmentFile=/nowhere"

    assert "$A may be set in /nowhere" in refusal(missing, "ExecStart=ssh $A -N a")
    assert find_one(missing, "ExecStart=ssh -N a").notes == (
        "EnvironmentFile=/nowhere: cannot be read",
    )


def test_an_environment_file_overrides_the_unit() -> None:
    words = "ExecStart=ssh -N ${HOST} $PORT"

    assert find_one(
        "Environment=HOST=other", "EnvironmentFile=/etc/env", words
    ).command.arguments == (
        "-N",
        "relay",
        "22",
    )


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["Environment='open", "ExecStart=ssh -N a"], "not closed"),
        (["User=%Z", "ExecStart=ssh -N a"], "%Z"),
        (["ExecStart=ssh -N %Z"], "ExecStart=: the value of the specifier %Z"),
        (["ExecStart=sshpass -p x ssh -N a"], "ExecStart=: sshpass types a password"),
        (["ExecStart=/bin/sh -c 'ssh -N $(hostname)'"], "shell syntax"),
    ],
)
def test_an_unreadable_unit_is_refused_with_a_reason(lines: list[str], reason: str) -> None:
    assert reason in refusal(*lines)


def test_a_service_without_ssh_gives_no_result() -> None:
    assert find("ExecStart=/bin/true ; -", "ExecStart=@") == []


@pytest.mark.parametrize(
    ("lines", "is_user", "account", "working_directory"),
    [
        ([], False, "root", "/"),
        (["User=ann"], False, "ann", "/"),
        (["User=ann", "WorkingDirectory=~"], False, "ann", "/home/ann"),
        (["WorkingDirectory=-/srv"], False, "root", "/srv"),
        ([], True, "ann", "/home/ann"),
        (["User=nobody", "WorkingDirectory=~"], False, "nobody", "/"),
    ],
)
def test_the_command_has_the_service_s_user_and_working_directory(
    lines: list[str], is_user: bool, account: str, working_directory: str
) -> None:
    only = find_one(*lines, "ExecStart=ssh -N a", is_user=is_user)

    assert (only.command.account, only.working_directory) == (account, working_directory)
