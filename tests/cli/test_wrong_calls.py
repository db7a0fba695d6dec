"""Calls that a newcomer gets wrong: each names the call that is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

from tests.rights import without_root
from tunnelkeeper.cli.main import SUBCOMMANDS
from tunnelkeeper.cli.usage_hints import explain

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Tool

START = "cannot connect to the supervisor at {socket}: no supervisor is running"

WRONG_CALLS = {
    "staus --json": ("no such command 'staus'", "tunnelkeeper status --json"),
    "frobnicate": ("no such command 'frobnicate'", "tunnelkeeper --help"),
    "version": ("no such command 'version'", "tunnelkeeper --version"),
    "forward": ("forward: HOST is missing", "tunnelkeeper forward HOST -L 5432:localhost:5432"),
    "forward relay": (
        "there is nothing to forward",
        "tunnelkeeper forward relay -L 5432:localhost:5432",
    ),
    "logs -n x": (
        "invalid value for '-n' / '--lines': 'x' is not a number",
        "tunnelkeeper logs --help",
    ),
    "relay staus": ("relay: no such command 'staus'", "tunnelkeeper relay status"),
    "relay frobnicate": ("relay: no such command 'frobnicate'", "tunnelkeeper relay --help"),
    "status --jsn": ("no such option '--jsn'", "tunnelkeeper status --json"),
    "logs --line=5 db": ("no such option '--line'", "tunnelkeeper logs --lines=5 db"),
    "status --frobnicate": ("no such option '--frobnicate'", "tunnelkeeper status --help"),
    "dashboard --json": ("no such option '--json'", "tunnelkeeper status --json"),
    "edit --json": ("no such option '--json'", "tunnelkeeper check --json"),
    "add db": ("add: HOST is missing", "tunnelkeeper add db HOST -L 5432:localhost:5432"),
    "add db -D 1080": ("add: HOST is missing", "tunnelkeeper add db -D 1080 HOST"),
    "add db host -L 5432": (
        "-L 5432: expected [bind_address:]port:host:hostport, got '5432'",
        "to reach port 5432 of the server itself, write `-L 5432:localhost:5432`",
    ),
    "add db host 5432:db:5432": (
        "5432:db:5432: expected KEY=VALUE",
        "for a forward, write `-L 5432:db:5432` or `-R 5432:db:5432`",
    ),
    "wait": ("wait: NAME is missing", "tunnelkeeper wait NAME"),
    "import autossh": (
        "import autossh: LINE is missing",
        "tunnelkeeper import autossh -- -M 0 -N -L 5432:db.internal:5432 me@relay.example.com",
    ),
    "--socket": ("option '--socket' requires an argument", "tunnelkeeper --help"),
    "--config {home}/missing.toml show db": (
        "{home}/missing.toml: no such file",
        (
            "create it with `tunnelkeeper init` or `tunnelkeeper add`, or name another file with "
            "--config or $TUNNELKEEPER_CONFIG"
        ),
    ),
    "--config {home} show db": (
        "{home}: this is a directory",
        "name a file in it with --config or $TUNNELKEEPER_CONFIG",
    ),
    "--config {home}/no.toml show db": (
        "{home}/no.toml:1: invalid value",
        "write strings in quotes, and true and false without",
    ),
    "logs db": (START, "tunnelkeeper up --detach"),
    "restart db": (START, "tunnelkeeper up --detach"),
    "unlock": (
        "cannot ask: there is no terminal",
        "run this on a terminal, or set passphrase_command or password_command in the config file",
    ),
    "dashboard": (
        "the dashboard needs a terminal, and standard input or output is none",
        "tunnelkeeper status",
    ),
}
"""Wrong calls with their message and hint."""


@pytest.mark.parametrize("line", WRONG_CALLS)
def test_a_wrong_call_names_the_right_one(tool: Tool, line: str) -> None:
    (tool.home / "no.toml").write_text("host = relay\n")

    done = tool(*(word.format(home=tool.home) for word in line.split()))

    message, hint = (
        text.replace("{home}", str(tool.home)).replace("{socket}", str(tool.socket))
        for text in WRONG_CALLS[line]
    )
    assert done.out == ""
    assert done.err == f"tunnelkeeper: {message}\n  hint: {hint}\n"
    assert done.code in {1, 2, 3}


def explain_ssh_line(line: str, known: list[str]) -> str:
    arguments = line.split()
    option = next(word[:2] for word in arguments if word.startswith("-"))
    context = click.Context(click.Group("tunnelkeeper"), info_name="tunnelkeeper")
    return explain(click.NoSuchOption(option, ctx=context), arguments, known).hint


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("-L 5432:db:5432 host", "host -L 5432:db:5432"),
        ("-L5432:db:5432 me@host", "me@host -L 5432:db:5432"),
        ("-N -f host -R 2222:localhost:22", "host -R 2222:localhost:22"),
        ("-D 1080 -p 2222 -i ~/k host", "host -D 1080 port=2222 'identity_files=~/k'"),
        ("-L 1:a:1", "HOST -L 1:a:1"),
    ],
)
def test_a_command_line_of_ssh_leads_to_the_call_that_opens_its_forwards(
    line: str, call: str
) -> None:
    assert explain_ssh_line(line, ["add"]) == f"tunnelkeeper add NAME {call} --up"
    assert explain_ssh_line(line, ["add", "forward"]) == f"tunnelkeeper forward {call}"


def test_every_line_of_ssh_is_explained_by_the_program(tool: Tool) -> None:
    done = tool("-L", "5432:db:5432", "host")

    verb = "forward" if "forward" in {each.name for each in SUBCOMMANDS} else "add"
    assert done.err.startswith("tunnelkeeper: no such option '-L'\n  hint: tunnelkeeper " + verb)


def test_the_socket_and_the_file_of_another_user_are_named(tool: Tool, tmp_path: Path) -> None:
    folder = tmp_path / "others"
    folder.mkdir(mode=0o700)
    (folder / "tunnels.toml").write_text("")
    folder.chmod(0)
    try:
        with without_root():
            status = tool("--socket", str(folder / "control.sock"), "status")
            show = tool("--config", str(folder / "tunnels.toml"), "show", "db")
    finally:
        folder.chmod(0o700)

    message, hint = status.err.splitlines()
    assert message == f"tunnelkeeper: {folder}/control.sock: permission denied"
    assert hint.startswith("  hint: only the user that a supervisor runs as may talk to it: ")
    message, hint = show.err.splitlines()
    assert message.startswith(f"tunnelkeeper: {folder}/tunnels.toml: permission denied for ")
    assert hint.endswith("otherwise run tunnelkeeper as its owner")
