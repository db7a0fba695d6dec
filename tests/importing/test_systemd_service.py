"""What a service runs, where something of it is missing or wrong."""

from __future__ import annotations

import pytest

from tunnelkeeper.importing.source_commands import NotImportable, SourceCommand
from tunnelkeeper.importing.specifiers import UnitName
from tunnelkeeper.importing.systemd_service import Service, lines_of_service

HOMES = {"root": "/root", "ann": "/home/ann"}
FILES = {"/etc/env": "PORT=22\nHOST=relay\n"}


def found(*lines: str, is_user: bool = False) -> list[SourceCommand | NotImportable]:
    text = "\n".join(("[Service]", *lines, ""))
    account = "ann" if is_user else "root"
    service = Service(UnitName("t.service"), "t", text, {"h": "/root"}, account, is_user)
    return lines_of_service(service, read_file, HOMES.get)


def read_file(path: str) -> str:
    if path not in FILES:
        raise FileNotFoundError(path)
    return FILES[path]


def line(*lines: str, is_user: bool = False) -> SourceCommand:
    [only] = found(*lines, is_user=is_user)
    assert isinstance(only, SourceCommand), only
    return only


def refusal(*lines: str) -> str:
    [only] = found(*lines)
    assert isinstance(only, NotImportable), only
    return only.why


def test_a_variable_that_is_not_set_is_nothing_as_for_systemd() -> None:
    optional = "EnvironmentFile=-/nowhere"

    assert line(optional, "ExecStart=ssh $A -N a${B}b").command.arguments == ("-N", "ab")


def test_a_variable_that_a_missing_file_may_set_is_not_guessed() -> None:
    missing = "EnvironmentFile=/nowhere"

    assert "$A may be set in /nowhere" in refusal(missing, "ExecStart=ssh $A -N a")
    assert line(missing, "ExecStart=ssh -N a").dropped == (
        "EnvironmentFile=/nowhere: cannot be read here",
    )


def test_a_file_overrules_the_unit_and_what_stands_later_overrules_it() -> None:
    words = "ExecStart=ssh -N ${HOST} $PORT"

    assert line("Environment=HOST=other", "EnvironmentFile=/etc/env", words).command.arguments == (
        "-N",
        "relay",
        "22",
    )


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["Environment='open", "ExecStart=ssh -N a"], "not closed"),
        (["User=%Z", "ExecStart=ssh -N a"], "%Z"),
        (["ExecStart=ssh -N %Z"], "ExecStart=: what the specifier %Z"),
        (["ExecStart=sshpass -p x ssh -N a"], "ExecStart=: sshpass runs it"),
        (["ExecStart=/bin/sh -c 'ssh -N $(hostname)'"], "a shell has to find out"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(lines: list[str], why: str) -> None:
    assert why in refusal(*lines)


def test_what_runs_no_ssh_is_nothing() -> None:
    assert found("ExecStart=/bin/true ; -", "ExecStart=@") == []


@pytest.mark.parametrize(
    ("lines", "is_user", "account", "folder"),
    [
        ([], False, "root", "/"),
        (["User=ann"], False, "ann", "/"),
        (["User=ann", "WorkingDirectory=~"], False, "ann", "/home/ann"),
        (["WorkingDirectory=-/srv"], False, "root", "/srv"),
        ([], True, "ann", "/home/ann"),
        (["User=nobody", "WorkingDirectory=~"], False, "nobody", "/"),
    ],
)
def test_it_runs_as_its_user_in_its_folder(
    lines: list[str], is_user: bool, account: str, folder: str
) -> None:
    only = line(*lines, "ExecStart=ssh -N a", is_user=is_user)

    assert (only.command.account, only.folder) == (account, folder)
