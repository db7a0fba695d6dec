from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from tests.control.fakes import REFUSED, a_tunnel
from tunnelkeeper import __version__
from tunnelkeeper.cli import main
from tunnelkeeper.cli.error_report import TRACEBACK_HINT
from tunnelkeeper.cli.global_options import move_to_front
from tunnelkeeper.cli.main import ALIASES, SUBCOMMANDS, program

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Tool
    from tests.control.fakes import RunningServer

RUN_AND_LIST_IMPORTS = (
    "import sys; from tunnelkeeper.cli.main import run; code = run(sys.argv[1:]); "
    "print({'asyncssh', 'asyncio', 'prompt_toolkit'} & set(sys.modules), file=sys.stderr); "
    "sys.exit(code)"
)


def run_in_subprocess(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command line in its own process; the last line of stderr lists forbidden imports."""
    return subprocess.run(
        [sys.executable, "-c", RUN_AND_LIST_IMPORTS, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def replace_commands(monkeypatch: pytest.MonkeyPatch, body: Callable[[], None]) -> None:
    @click.command()
    def command() -> None:
        body()

    monkeypatch.setattr(program, "get_command", lambda *_: command)


def function_raising(error: BaseException) -> Callable[[], None]:
    def body() -> None:
        raise error

    return body


@pytest.mark.parametrize("command", ["status", "logs", "reload", "wait", "restart", "down"])
def test_client_commands_import_neither_asyncssh_nor_asyncio(
    server: RunningServer, command: str
) -> None:
    names = ["db"] if command in {"wait", "restart", "down"} else []
    done = run_in_subprocess("--socket", str(server.path), command, *names)

    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "set()")


def test_the_version_of_autossh_is_printed_without_asyncssh() -> None:
    done = run_in_subprocess("autossh", "-V")

    assert (done.returncode, done.stderr) == (0, "set()\n")
    assert done.stdout.startswith("autossh 1.4g")


def test_every_subcommand_has_a_command_with_a_help_text() -> None:
    context = click.Context(program)
    for subcommand in SUBCOMMANDS:
        command = program.get_command(context, subcommand.name)
        assert command is not None
        assert command.help


def test_help_lists_the_commands_without_importing_them() -> None:
    done = run_in_subprocess("--help")

    assert done.returncode == 0
    assert "show what every tunnel is doing" in done.stdout


def test_the_version_is_printed(tool: Tool) -> None:
    assert tool("--version").out == f"tunnelkeeper {__version__}\n"


@pytest.mark.parametrize("words", [["relay"], ["units"]])
def test_a_missing_command_is_a_usage_error_with_help(tool: Tool, words: list[str]) -> None:
    done = tool(*words)

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(" ".join(["Usage: tunnelkeeper", *words]))
    assert "..." not in done.err.split("Commands:")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stauts"], "no such command 'stauts'\n  hint: tunnelkeeper status\n"),
        (["frobnicate"], "no such command 'frobnicate'\n  hint: tunnelkeeper --help\n"),
        (["status", "--jsn"], "no such option '--jsn'\n  hint: tunnelkeeper status --json\n"),
        (["wait"], "wait: NAME is missing\n  hint: tunnelkeeper wait NAME\n"),
        (["restart"], "name the tunnels to restart"),
        (["wait", "db", "--for", "lunch"], "'lunch'"),
        (["connect", "db", "nowhere"], "expected host:port"),
        (["--socket"], "requires an argument"),
    ],
)
def test_a_usage_error_is_one_line_and_its_hint_with_exit_code_2(
    tool: Tool, arguments: list[str], message: str
) -> None:
    done = tool(*arguments)

    assert (done.code, done.out, done.err.count("\n")) == (2, "", 2)
    assert done.err.startswith("tunnelkeeper: ")
    assert message in done.err


@pytest.mark.parametrize("line", ["status", "down", "restart db", "wait db", "logs -f", "reload"])
def test_without_a_supervisor_commands_exit_with_3(tool: Tool, line: str) -> None:
    done = tool(*line.split())

    reason = f"cannot connect to the supervisor at {tool.socket}: no supervisor is running"
    assert (done.code, done.out) == (3, "")
    assert done.err == f"tunnelkeeper: {reason}\n  hint: tunnelkeeper up --detach\n"


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    "line",
    ["status dbb", "down dbb", "restart dbb", "wait dbb", "logs dbb", "restart --group unknown"],
)
def test_an_unknown_name_or_group_exits_with_4(tool: Tool, line: str) -> None:
    done = tool(*line.split())

    assert (done.code, done.out) == (4, "")
    assert done.err.startswith("tunnelkeeper: no tunnel is ")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (TimeoutError("too late"), 5, "tunnelkeeper: too late\n"),
        (
            PermissionError(13, "Permission denied", "/s"),
            1,
            "tunnelkeeper: /s: Permission denied\n",
        ),
        (OSError("AF_UNIX path too long"), 1, "tunnelkeeper: AF_UNIX path too long\n"),
        (
            ZeroDivisionError("x"),
            1,
            f"tunnelkeeper: unexpected ZeroDivisionError: x\n  hint: {TRACEBACK_HINT}\n",
        ),
    ],
)
def test_an_error_is_printed_as_one_line(
    tool: Tool, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, message: str
) -> None:
    replace_commands(monkeypatch, function_raising(error))

    done = tool("status")
    assert (done.code, done.err) == (code, message)


def test_verbose_shows_the_traceback_of_an_unexpected_error(
    tool: Tool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    replace_commands(monkeypatch, function_raising(ZeroDivisionError("x")))

    with caplog.at_level("DEBUG"):
        tool("-v", "status")
    assert "Traceback" in caplog.text


def test_an_interrupt_exits_with_130_and_no_message(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_commands(monkeypatch, function_raising(KeyboardInterrupt()))

    done = tool("status")
    assert (done.code, done.err.strip()) == (130, "")


def test_a_closed_output_pipe_is_not_an_error(server: RunningServer) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    process = subprocess.run(
        [sys.executable, "-m", "tunnelkeeper", "--socket", str(server.path), "status"],
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writer)

    assert process.stderr == b""


# -- aliases, and global options after the command -------------------------------------------------


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_an_alias_is_its_command_and_is_not_in_the_help(tool: Tool, alias: str) -> None:
    assert tool(alias, "--help").out == tool(ALIASES[alias], "--help").out
    assert f"\n  {alias} " not in tool("--help").out
    assert ALIASES[alias] in {each.name for each in SUBCOMMANDS}


@pytest.mark.usefixtures("server")
def test_aliases_do_what_their_commands_do(tool: Tool) -> None:
    assert tool("ls").out == tool("status").out
    assert tool("start", "db").out == "up: db\n"
    assert tool("stop", "db").out == "stopped db\n"


@pytest.mark.parametrize(
    "words",
    [
        "status --socket {other}",
        "status --socket={other} --json",
        "wait db --config x --socket {other} --timeout 1",
        "reload -v --socket {other}",
    ],
)
@pytest.mark.usefixtures("server")
def test_a_global_option_works_after_the_command(tool: Tool, words: str) -> None:
    other = tool.home / "other.sock"

    done = tool(*words.format(other=other).split())
    assert (done.code, f"at {other}: no supervisor is running\n" in done.err) == (3, True)


def test_the_version_can_be_asked_for_after_the_command(tool: Tool) -> None:
    assert tool("status", "--version").out == f"tunnelkeeper {__version__}\n"


@pytest.mark.parametrize(
    ("line", "option", "moved"),
    [
        ("status --config x", "--config", "--config x status"),
        ("--socket s status --json --config=x", "--config", "--config=x --socket s status --json"),
        ("units install -v", "-v", "-v units install"),
        ("status --config", "--config", "--config status"),
        ("status --jsn", "--jsn", None),
        ("logs -fv", "-v", None),
        ("connect -- --config x", "--config", None),
        ("relay --config x status", "--config", None),
        ("--config x", "--config", None),
    ],
)
def test_a_global_option_is_moved_before_the_command(
    line: str, option: str, moved: str | None
) -> None:
    assert move_to_front(line.split(), option) == (None if moved is None else moved.split())


# -- without a command -----------------------------------------------------------------------------


def test_without_a_config_file_the_next_step_is_to_write_one(tool: Tool) -> None:
    done = tool()

    assert (done.code, done.err) == (0, "")
    assert f"There is no config file yet:\n  {tool.config}\n" in done.out
    assert "tunnelkeeper init\n" in done.out
    assert "tunnelkeeper add db me@relay.example.com" in done.out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tunnels = 1", ["has problems", "tunnels.toml:1: tunnels: ", "tunnelkeeper edit\n"]),
        ("# nothing", ["has no tunnels", "tunnelkeeper add db"]),
        ('tunnels.a.host = "h"', ["has 1 tunnel: a.", "tunnelkeeper up --detach\n"]),
        (
            "".join(f'tunnels.t{number}.host = "h"\n' for number in range(10)),
            ["has 10 tunnels: t0, t1, t2, t3, t4, t5, t6, t7, and 2 more."],
        ),
    ],
)
def test_without_a_supervisor_the_next_step_follows_from_the_file(
    tool: Tool, text: str, expected: list[str]
) -> None:
    tool.config.write_text(text)
    done = tool()

    assert (done.code, done.err) == (0, "")
    assert [each for each in expected if each not in done.out] == []


def test_with_a_supervisor_the_status_is_shown(tool: Tool, server: RunningServer) -> None:
    server.fake.tunnels["db"] = a_tunnel("db", "backoff", failure=REFUSED)
    done = tool()

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(tool("status").out)
    assert "tunnelkeeper dashboard\n" in done.out


def test_main_exits_with_the_exit_code(monkeypatch: pytest.MonkeyPatch, tool: Tool) -> None:
    monkeypatch.setattr(sys, "argv", ["tunnelkeeper", "--socket", str(tool.socket), "status"])

    with pytest.raises(SystemExit) as exited:
        main.main()
    assert exited.value.code == 3


def test_an_option_overrides_the_environment(tool: Tool, server: RunningServer) -> None:
    del server

    assert tool("--socket", str(tool.home / "other.sock"), "status").code == 3
    assert tool("status").code == 0


@pytest.mark.parametrize("words", [("status",), ("wait", "db"), ("logs",), ()])
@pytest.mark.usefixtures("server")
def test_tunnels_of_another_config_file_are_not_shown(tool: Tool, words: tuple[str, ...]) -> None:
    done = tool("--config", "other.toml", *words)

    assert (done.code, done.out) == (1, "")
    assert "a supervisor is running already with " in done.err
    assert "hint: leave out --config for that one" in done.err


def test_a_hint_names_the_config_file_and_the_socket_of_the_call(tool: Tool) -> None:
    other = tool.home / "other.sock"
    done = tool("status", "--json", "--config", "my tunnels.toml", "--socket", str(other))

    hint = f"tunnelkeeper --socket {other} --config 'my tunnels.toml' up --detach"
    assert done.err.endswith(f"  hint: {hint}\n")
    assert sorted(json.loads(done.out)["error"]["hint"].split()) == sorted(hint.split())
