"""The words that complete a command line, and the files of the scripts."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from click.shell_completion import BashComplete

from tests.control.fakes import a_tunnel
from tests.imports import ROOT
from tunnelkeeper.cli import completion_file
from tunnelkeeper.cli.completers import COMPLETERS, bare_metavar
from tunnelkeeper.cli.completion_script import PROGRAMS, SHELLS, variable_of
from tunnelkeeper.cli.main import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Tool
    from tests.control.fakes import RunningServer

VARIABLE = variable_of("tunnelkeeper")
CONFIG = """
[supervisor]
ssh_config = "~/ssh_config"

[defaults]
groups = "all"

[hosts.relay]
port = 2222

[tunnels.db]
host = "relay.example.com"
groups = ["work", "all"]

[tunnels."web.eu"]
host = "relay\\u0007"

[tunnels."not a name"]
host = "relay"
"""

OTHERS = {
    "ADDR:PORT",
    "ADDRESS|FINGERPRINT",
    "DURATION",
    "FINGERPRINT",
    "HOST:PORT",
    "HOST[:PORT",  # without its last bracket
    "KEY=VALUE",
    "LINE",
    "NAME[:FILE",
    "PORT|HOST:PORT",
    "SPEC",
    "TIME",
    "UNIT",
    "USER|FINGERPRINT",
}
"""Metavars of texts that have no list of words."""


@pytest.fixture
def config(tool: Tool) -> Path:
    (tool.home / "ssh_config").write_text("Host office *.lan\nInclude ~/more\n")
    (tool.home / "more").write_text('Host inner "two words"\n')
    tool.config.write_text(CONFIG)
    return tool.config


def words(*arguments: str) -> list[str]:
    """Return what completes the last argument, with the kind of those that are no plain words."""
    *complete, incomplete = arguments
    items = BashComplete(program, {}, "tunnelkeeper", VARIABLE).get_completions(
        complete, incomplete
    )
    return [item.value if item.type == "plain" else f"({item.type})" for item in items]


def helps(*arguments: str) -> dict[str, str | None]:
    *complete, incomplete = arguments
    items = BashComplete(program, {}, "tunnelkeeper", VARIABLE).get_completions(
        complete, incomplete
    )
    return {item.value: item.help for item in items}


def text_parameters(
    command: click.Command = program, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Parameter]]:
    """Yield each parameter without a list of words, with the path of its command."""
    for parameter in command.params:
        if parameter.type in {click.STRING, click.UNPROCESSED}:
            yield " ".join(path), parameter
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from text_parameters(below, (*path, name))


# -- words -----------------------------------------------------------------------------------------


def test_every_text_has_a_metavar_that_says_how_it_is_completed() -> None:
    unknown = [
        (path, bare_metavar(parameter))
        for path, parameter in text_parameters()
        if bare_metavar(parameter) not in {*COMPLETERS, *OTHERS}
    ]

    assert unknown == [], "name a metavar of COMPLETERS in cli/completers.py, or add it to OTHERS"


def test_commands_are_completed_with_their_summaries() -> None:
    found = helps("rel")

    assert list(found) == ["reload", "relay"]
    assert found["reload"] == "read the config file again"


def test_options_are_completed() -> None:
    assert words("up", "--de") == ["--detach"]
    assert words("--ver") == ["--verbose", "--version"]
    assert words("relay", "serve", "--ho") == ["--host-key"]


def test_choices_are_completed() -> None:
    assert words("up", "--ready", "") == ["tried", "up"]


@pytest.mark.usefixtures("config")
def test_the_ad_hoc_tunnels_of_a_running_supervisor_are_completed(server: RunningServer) -> None:
    server.fake.tunnels["relay"] = a_tunnel("relay", ad_hoc=True)

    assert words("stop", "") == ["db", "web.eu", "relay"]


@pytest.mark.usefixtures("config")
def test_the_hosts_of_a_forward_are_completed_and_new_names_are_not() -> None:
    assert words("forward", "re") == ["relay"]
    assert words("forward", "relay", "--keep", "") == []


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize("command", ["up", "down", "restart", "status", "wait", "logs"])
def test_tunnels_are_completed(command: str) -> None:
    assert words(command, "") == ["db", "web.eu"]


@pytest.mark.usefixtures("config")
def test_a_tunnel_has_its_host_as_its_help_and_no_control_characters() -> None:
    assert helps("up", "") == {"db": "relay.example.com", "web.eu": "relay\\x07"}


@pytest.mark.usefixtures("config")
def test_a_tunnel_that_is_given_already_is_left_out() -> None:
    assert words("up", "db", "") == ["web.eu"]


@pytest.mark.usefixtures("config")
def test_groups_are_completed_those_of_the_defaults_as_well() -> None:
    assert helps("up", "--group", "") == {"work": "1 tunnel", "all": "2 tunnels"}


@pytest.mark.usefixtures("config")
def test_hosts_of_both_config_files_are_completed() -> None:
    assert words("connect", "") == ["db", "web.eu", "relay", "office", "inner"]
    assert words("connect", "me@o") == ["me@office"]
    assert words("import", "ssh-config", "in") == ["inner"]


@pytest.mark.usefixtures("config")
def test_a_command_line_of_autossh_is_completed() -> None:
    assert words("autossh", "-M", "0", "o") == ["office"]
    assert words("autossh", "-M0", "-NL", "8080:db:80", "o") == ["office"]
    assert words("autossh", "-NL", "o") == []
    assert words("autossh", "-J", "o") == ["office"]
    assert words("autossh", "-i", "") == ["(file)"]
    assert words("autossh", "office", "") == []
    assert words("autossh", "--s") == ["--strict"]
    assert words("autossh", "-N", "--s") == []
    assert {"-M", "-L", "-f"} < set(words("autossh", "-"))
    assert "-X" not in words("autossh", "-")


def test_the_config_file_of_the_option_is_used(tool: Tool) -> None:
    other = tool.home / "other.toml"
    other.write_text("[tunnels.mail]\nhost = 'h'\n")

    assert words("--config", str(other), "up", "") == ["mail"]


def test_files_are_left_to_the_shell() -> None:
    assert words("--config", "") == ["(file)"]
    assert words("relay", "add", "box", "--key", "") == ["(file)"]
    assert words("import", "unit", "") == ["(file)"]


@pytest.mark.usefixtures("config")
def test_the_name_of_a_new_tunnel_is_not_completed_but_its_host_is() -> None:
    assert words("add", "") == []
    assert words("add", "new", "o") == ["office"]
    assert words("remove", "d") == words("show", "d") == ["db"]


@pytest.mark.usefixtures("config")
def test_the_users_of_a_relay_are_not_completed_with_tunnels() -> None:
    assert words("relay", "remove", "") == []


@pytest.mark.parametrize("text", [None, "[tunnels", "tunnels = 1", "\0", "[tunnels]\ndb = 1"])
def test_a_config_file_that_cannot_be_read_completes_nothing(tool: Tool, text: str | None) -> None:
    if text is not None:
        tool.config.write_text(text)

    assert words("up", "") == []
    assert words("up", "--group", "") == []


def test_a_config_file_that_would_block_is_not_read(tool: Tool) -> None:
    import os

    os.mkfifo(tool.config)

    assert words("up", "") == []


def test_an_unknown_command_completes_nothing_and_fails_silently() -> None:
    assert words("bogus", "--de") == []


def test_completing_imports_neither_ssh_nor_asyncio(tmp_path: Path) -> None:
    (tmp_path / "tunnels.toml").write_text(CONFIG)
    environment = {
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "TUNNELKEEPER_CONFIG": str(tmp_path / "tunnels.toml"),
        "COMP_WORDS": "tunnelkeeper connect ",
        "COMP_CWORD": "2",
        VARIABLE: "bash_complete",
    }
    command = [sys.executable, "-X", "importtime", "-m", "tunnelkeeper"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}

    assert "plain,db" in done.stdout.splitlines()
    assert "tunnelkeeper.cli.completers" in imported
    assert not imported & {"asyncssh", "asyncio", "rich", "cryptography", "tunnelkeeper.config"}


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_printed(tool: Tool, shell: str) -> None:
    done = tool("completion", shell)

    assert (done.code, done.err) == (0, "")
    for name in PROGRAMS:
        assert f"{variable_of(name)}={shell}_complete" in done.out


@pytest.fixture
def user_folders(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "BASH_COMPLETION_USER_DIR", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    return tool.home


@pytest.mark.parametrize(
    ("shell", "files"),
    [
        ("bash", ".local/share/bash-completion/completions/{}"),
        ("zsh", ".zfunc/_{}"),
        ("fish", ".config/fish/completions/{}.fish"),
    ],
)
def test_the_scripts_are_installed_where_their_shell_finds_them(
    tool: Tool, user_folders: Path, shell: str, files: str
) -> None:
    paths = [user_folders / files.format(name) for name in PROGRAMS]

    first = tool("completion", "install", shell)
    inodes = [path.stat().st_ino for path in paths]
    second = tool("completion", "install", shell)

    assert (first.code, first.out.splitlines()[:2]) == (0, [f"wrote {path}" for path in paths])
    assert second.code == 0
    assert second.out.splitlines()[:2] == [f"{path} is up to date" for path in paths]
    assert "".join(path.read_text() for path in paths) == tool("completion", shell).out
    assert [path.stat().st_ino for path in paths] == inodes
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o644}


def test_the_shell_of_the_user_is_the_default(
    tool: Tool, user_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")

    folder = user_folders / ".config" / "fish" / "completions"
    assert tool("completion", "install").out == (
        f"wrote {folder}/tunnelkeeper.fish\nwrote {folder}/tunnelkeeper-autossh.fish\n"
    )


@pytest.mark.parametrize("shell", ["", "/bin/tcsh"])
def test_another_shell_is_refused(tool: Tool, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setenv("SHELL", shell)
    done = tool("completion", "install")

    assert (done.code, done.out) == (2, "")
    assert (
        "hint: name it, one of bash, zsh, fish: `tunnelkeeper completion install bash`" in done.err
    )


def test_the_folders_of_the_environment_are_used(tmp_path: Path) -> None:
    env = {"HOME": "/home/me", "XDG_DATA_HOME": "/data", "XDG_CONFIG_HOME": "/config"}
    own = {**env, "BASH_COMPLETION_USER_DIR": "/own"}

    assert str(completion_file.path_for("bash", "tunnelkeeper", env)) == (
        "/data/bash-completion/completions/tunnelkeeper"
    )
    assert (
        str(completion_file.path_for("bash", "tunnelkeeper", own))
        == "/own/completions/tunnelkeeper"
    )
    assert str(completion_file.path_for("fish", "tunnelkeeper", env)) == (
        "/config/fish/completions/tunnelkeeper.fish"
    )


def test_an_old_script_is_replaced(tool: Tool, user_folders: Path) -> None:
    path = user_folders / ".zfunc" / "_tunnelkeeper"
    path.parent.mkdir()
    path.write_text(f"#compdef tunnelkeeper\n{VARIABLE}=of an earlier version\n")

    assert tool("completion", "install", "zsh").out.startswith(f"wrote {path}\n")
    assert "earlier" not in path.read_text()


def test_a_file_of_another_origin_is_left_alone(tool: Tool, user_folders: Path) -> None:
    path = user_folders / ".zfunc" / "_tunnelkeeper"
    path.parent.mkdir()
    path.write_text("mine")
    done = tool("completion", "install", "zsh")

    assert (done.code, path.read_text()) == (1, "mine")
    assert f"was not written by tunnelkeeper and is left alone\n  hint: mv {path}" in done.err


def test_a_link_is_not_followed(tool: Tool, user_folders: Path) -> None:
    path = user_folders / ".zfunc" / "_tunnelkeeper"
    path.parent.mkdir()
    path.symlink_to("elsewhere")
    done = tool("completion", "install", "zsh")

    assert (done.code, path.is_symlink()) == (1, True)
    assert f"{path} is a symbolic link, which is not followed\n  hint: rm {path}" in done.err


def test_zsh_needs_no_more_lines_once_zshrc_names_the_folder(
    tool: Tool, user_folders: Path
) -> None:
    assert "fpath=(~/.zfunc $fpath)" in tool("completion", "install", "zsh").out

    (user_folders / ".zshrc").write_text("fpath+=~/.zfunc\nautoload -Uz compinit && compinit\n")

    assert tool("completion", "install", "zsh").out.endswith("open a new zsh to use them\n")


@pytest.mark.parametrize("is_installed", [True, False])
def test_bash_needs_the_package_that_loads_the_file(
    tool: Tool, user_folders: Path, monkeypatch: pytest.MonkeyPatch, is_installed: bool
) -> None:
    package = user_folders / "bash_completion"
    monkeypatch.setattr(completion_file, "_BASH_COMPLETION", (str(package),))
    if is_installed:
        package.touch()
    done = tool("completion", "install", "bash")

    assert ("open a new bash" in done.out) == is_installed
    assert ('eval "$(tunnelkeeper completion bash)"' in done.out) == (not is_installed)


def test_the_help_of_the_program_mentions_it(tool: Tool) -> None:
    assert "let the shell complete command lines" in tool("--help").out
