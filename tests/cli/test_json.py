"""`--json`: every command that has it prints one JSON value, in success and in failure."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Self

import click
import msgspec
import pytest

from tests.cli.fake_systemd import FakeSystemd
from tests.control.fakes import REFUSED, a_tunnel
from tunnelkeeper.cli import launch, relay, relay_access
from tunnelkeeper.cli.main import program
from tunnelkeeper.cli.terminal import Terminal
from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.hop_keys import HopKey, Outcome
from tunnelkeeper.core.questions import HostKeyDetails

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Tool
    from tests.control.fakes import RunningServer

CONFIG = 'tunnels.db = { host = "relay", socks = "1080" }\n'
KEY = HopKey("me@relay:22", Outcome.KNOWN, HostKeyDetails("ssh-ed25519", "SHA256:x"))

SUCCESS = {
    "init": ("--config {home}/new.toml init", "config created"),
    "forward": ("forward relay -D 1081 --detach", "tunnels kept_in"),
    "add": ("add new relay -D 1081", "name file is_new_file warnings changes tunnels"),
    "remove": ("remove db", "removed file unused_hosts warnings changes"),
    "show": ("show db", "name settings jump_hosts"),
    "check": ("check", "problems warnings"),
    "doctor": ("doctor --check clock", "checks"),
    "trust": ("trust db", ""),
    "up": ("up --no-wait", "tunnels supervisor_started"),
    "down": ("down db", "stopped supervisor_ended restarted_by hint"),
    "restart": ("restart db", "restarted graceful"),
    "reload": ("reload", "changes problems"),
    "status": ("status", "supervisor tunnels questions"),
    "wait": ("wait db", "tunnels"),
    "logs": ("logs -n 1", "at level tunnel message"),
    "unlock": ("unlock", "tunnels key problems"),
    "lock": ("lock", "keys passwords"),
    "questions": ("questions", "questions"),
    "import ssh": ("import ssh -- -N -D 1 a", "file tunnels not_imported warnings"),
    "import autossh": ("import autossh -- -N -D 1 a", "file tunnels not_imported warnings"),
    "import unit": ("import unit {home}/a.service", "file tunnels not_imported warnings"),
    "import crontab": ("import crontab {home}/crontab", "file tunnels not_imported warnings"),
    "import ssh-config": (
        "--config {home}/own-ssh.toml import ssh-config",
        "file tunnels not_imported warnings",
    ),
    "units print": ("units print", "units"),
    "units install": (
        "units install",
        "units enabled started outdated needs lingering",
    ),
    "units uninstall": ("units uninstall", "removed"),
    "relay init": ("relay init --config {home}/relay.toml", "config created kept units next"),
    "relay add": (
        "relay add box --key {home}/key.pub --address relay.example.com",
        "user file key listen open private_key_file private_key address notes",
    ),
    "relay remove": ("relay remove box", "user file removed reloaded problem"),
    "relay check": ("relay check", "problems warnings"),
    "relay status": ("relay status", "clients"),
    "relay reload": ("relay reload", "changes problems"),
    "relay kick": ("relay kick box", "target disconnected"),
    "relay ban": ("relay ban 192.0.2.1", "target disconnected"),
    "relay unban": ("relay unban 192.0.2.1", "target disconnected"),
}
"""A command line that succeeds, and fields of its result; none if that is a list."""

FAILURE = {
    "init": ("init", 2),
    "forward": ("forward relay -D 1081 --keep db", 2),
    "add": ("add db relay -D 1080", 2),
    "remove": ("remove nothing", 4),
    "show": ("show nothing", 4),
    "doctor": ("doctor nothing", 4),
    "trust": ("--config {home}/invalid.toml trust db", 2),
    "up": ("--config {home}/invalid.toml up --detach", 2),
    "down": ("down", 3),
    "restart": ("restart db", 3),
    "reload": ("reload", 3),
    "status": ("status", 3),
    "wait": ("wait db", 3),
    "logs": ("logs", 3),
    "unlock": ("unlock", 1),
    "lock": ("lock", 3),
    "questions": ("questions", 3),
    "import ssh": ("--config {home}/invalid.toml import ssh --write -- -N -D 1 a", 2),
    "import autossh": ("--config {home}/invalid.toml import autossh --write -- -N -D 1 a", 2),
    "import unit": ("--config {home}/invalid.toml import unit --write {home}/a.service", 2),
    "import crontab": ("import crontab {home}/nothing", 1),
    "import ssh-config": ("--config {home}/no-ssh.toml import ssh-config", 1),
    "units print": ("--config /a\nb units print", 2),
    "units install": ("--config {home}/invalid.toml units install", 2),
    "units uninstall": ("units uninstall", 1),
    "relay init": ("relay init --config {home}/key.pub/relay.toml", 1),
    "relay add": ("relay add box --config {home}/invalid.toml", 2),
    "relay remove": ("relay remove box --config {home}/invalid.toml", 2),
    "relay status": ("relay status", 3),
    "relay reload": ("relay reload", 3),
    "relay kick": ("relay kick box", 3),
    "relay ban": ("relay ban 192.0.2.1", 3),
    "relay unban": ("relay unban 192.0.2.1", 3),
}
"""A command line that fails without a supervisor and a relay, and its exit code."""

NEVER_FAILS = {"check", "relay check"}
"""Commands whose result lists problems, so that they have no other error."""


def commands_with_json(
    group: click.Group = program, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    """Yield each command that has --json, with its name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands_with_json(command, (*path, name))
        elif command is not None and any("--json" in param.opts for param in command.params):
            yield " ".join((*path, name)), command


def test_every_command_with_json_is_in_both_tables() -> None:
    names = {name for name, _ in commands_with_json()}

    assert names == set(SUCCESS)
    assert names == set(FAILURE) | NEVER_FAILS


class FakeRelay:
    """A client of a relay, which does what it is asked."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def call(self, _method: str, *_: object, **params: object) -> msgspec.Raw:
        result = {"clients": [], "target": params.get("target"), "disconnected": []}
        return msgspec.Raw(msgspec.json.encode(result))

    def reload(self) -> list[str]:
        return []


@pytest.fixture
def home(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ssh: str) -> Path:
    """Return a home folder with the files that the command lines of the tables name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    tool.config.write_text(CONFIG)
    (tool.home / "invalid.toml").write_text("tunnels = 1\n")
    (tool.home / "no-ssh.toml").write_text("supervisor.ssh_config = false\n")
    (tool.home / "a.service").write_text("[Service]\nExecStart=ssh -N -D 1080 a\n")
    (tool.home / "crontab").write_text("@reboot ssh -N -D 1080 a\n")
    (tool.home / "ssh_config").write_text("Host a\nDynamicForward 1080\n")
    (tool.home / "own-ssh.toml").write_text(f'supervisor.ssh_config = "{tool.home}/ssh_config"\n')
    (tool.home / "key.pub").write_text(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2mmSPZSRqrj7kEwTLeYCOoe2KsRTbxXsoBCVJ6IJlv box\n"
    )
    assert ssh
    return tool.home


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch, server: RunningServer, tmp_path: Path) -> RunningServer:
    """Run a supervisor, and a service manager, a relay and a terminal that are fakes."""
    FakeSystemd(tmp_path, monkeypatch)
    for module in (relay, relay_access):
        monkeypatch.setattr(module, "connect", lambda *_: FakeRelay())
    monkeypatch.setattr(Terminal, "open", lambda: nullcontext(object()))

    def walk(_config: Path, _name: str, _keys: object, person: Any) -> Failure | None:
        person.show(KEY)
        return None

    monkeypatch.setattr(launch, "trust", walk)
    return server


def words(line: str, home: Path) -> list[str]:
    """Return the words of a line of the tables, with --json."""
    parts = [part.format(home=home) for part in line.split(" ")]
    end = parts.index("--") if "--" in parts else len(parts)
    return [*parts[:end], "--json", *parts[end:]]


def prepare(tool: Tool, name: str, home: Path) -> None:
    if name in {"relay add", "relay remove", "relay check"}:
        assert tool("relay", "init").code == 0
    if name == "relay remove":
        assert (
            tool("relay", "add", "box", "--key", str(home / "key.pub"), "--address", "a").code == 0
        )
    if name == "units uninstall":
        assert tool("units", "install").code == 0


@pytest.mark.parametrize("name", SUCCESS)
@pytest.mark.usefixtures("peers")
def test_success_is_one_json_value_with_the_documented_fields(
    tool: Tool, home: Path, name: str
) -> None:
    prepare(tool, name, home)
    line, fields = SUCCESS[name]
    done = tool(*words(line, home))

    assert done.code == 0, done.err
    result = json.loads(done.out)
    if fields:
        assert set(fields.split()) <= set(result)
        assert "error" not in result
    else:
        assert [set(each) for each in result] == [
            {"hop", "outcome", "algorithm", "fingerprint", "art", "files", "other_names", "message"}
        ]


@pytest.mark.parametrize("name", FAILURE)
def test_failure_is_one_json_value_with_the_message_of_standard_error(
    tool: Tool, home: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name.startswith("units"):
        systemd = FakeSystemd(tmp_path, monkeypatch)
        prepare(tool, name, home)
        systemd.configure(fails="systemctl")
    line, code = FAILURE[name]
    done = tool(*words(line, home))

    assert done.code == code, done.err
    error = json.loads(done.out)["error"]
    assert set(error) == {"code", "message", "hint", "problems", "hints"}
    assert error["code"] == code
    assert f"tunnelkeeper: {error['message']}\n" in done.err
    assert all(f"{problem}\n" in done.err for problem in error["problems"])


@pytest.mark.parametrize("name", SUCCESS)
def test_a_usage_error_is_on_standard_error_alone(tool: Tool, name: str) -> None:
    done = tool(*name.split(), "--json", "--no-such-option")

    assert (done.code, done.out) == (2, "")
    assert "no-such-option" in done.err


# -- what the values say ---------------------------------------------------------------------------


def test_a_tunnel_that_is_not_up_is_a_result_with_its_failure(
    tool: Tool, server: RunningServer
) -> None:
    server.fake.tunnels["db"] = a_tunnel("db", "blocked", failure=REFUSED)
    done = tool("up", "--json")

    assert done.code == 1
    [tunnel] = json.loads(done.out)["tunnels"]
    failure = tunnel["failure"]
    assert (tunnel["name"], tunnel["state"]) == ("db", "blocked")
    assert (failure["cause"], failure["hop"]) == ("refused", "me@relay:22")
    assert (failure["message"], failure["hint"]) == ("Connection refused", "is sshd running?")


def test_what_was_done_before_an_error_is_in_the_same_value(
    tool: Tool, server: RunningServer
) -> None:
    server.fake.tunnels["db"] = a_tunnel("db", "connecting")
    done = tool("wait", "db", "--timeout", "0", "--json")

    result = json.loads(done.out)
    assert (done.code, result["error"]["code"]) == (5, 5)
    assert [tunnel["state"] for tunnel in result["tunnels"]] == ["connecting"]


@pytest.mark.usefixtures("home")
def test_a_result_that_is_a_list_is_printed_without_the_error(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def walk(_config: Path, _name: str, _keys: object, person: Any) -> Failure:
        person.show(KEY)
        return Failure(Cause.UNREACHABLE, "no route to host", "relay:22")

    monkeypatch.setattr(launch, "trust", walk)
    done = tool("trust", "db", "--json")

    assert done.code == 1
    assert len(json.loads(done.out)) == 1
    assert "no route to host" in done.err


@pytest.mark.usefixtures("home")
def test_up_in_the_foreground_has_no_result_to_print(tool: Tool) -> None:
    done = tool("up", "--json")

    assert done.code == 2
    assert "--json needs --detach" in json.loads(done.out)["error"]["message"]


def test_down_names_the_end_of_the_supervisor(tool: Tool, server: RunningServer) -> None:
    assert json.loads(tool("down", "--json").out)["supervisor_ended"]
    assert server.fake.has_ended.is_set()


@pytest.mark.usefixtures("server")
def test_the_lines_of_a_log_are_values_of_their_own(tool: Tool) -> None:
    lines = tool("logs", "--json").out.splitlines()

    assert [json.loads(line)["message"] for line in lines] == ["up", "started"]
    picked = tool("logs", "db", "d*", "--json").out.splitlines()
    assert [json.loads(line)["message"] for line in picked] == ["up"]
    error = json.loads(tool("logs", "nothing", "--json").out)["error"]
    assert error["code"] == 4


@pytest.mark.parametrize(
    "line",
    [
        "stop d* --json",
        "restart d* --json",
        "rm d* --json",
        "down --json --socket {socket} db",
        "ps --json d*",
    ],
)
def test_aliases_patterns_and_late_global_options_work_with_json(
    tool: Tool, server: RunningServer, line: str
) -> None:
    tool.config.write_text(CONFIG)
    done = tool(*line.format(socket=server.path).split())

    assert done.code == 0
    assert "db" in json.dumps(json.loads(done.out))


def test_add_reports_the_tunnel_that_it_starts(tool: Tool, server: RunningServer) -> None:
    server.fake.config = str(tool.config)
    done = tool("add", "db", "relay", "-D", "1080", "--up", "--json")

    result = json.loads(done.out)
    assert result["changes"] == ["db: a forward was added"]
    assert [tunnel["name"] for tunnel in result["tunnels"]] == ["db"]


def test_an_import_lists_what_was_written_dropped_and_left_out(tool: Tool, home: Path) -> None:
    tool.config.write_text("")
    (home / "b.service").write_text("[Service]\nExecStart=ssh ann@relay\n")
    done = tool(
        "import", "unit", "--write", "--json", str(home / "a.service"), str(home / "b.service")
    )

    result = json.loads(done.out)
    assert (done.code, result["file"]) == (1, str(tool.config))
    [tunnel] = result["tunnels"]
    assert (tunnel["action"], tunnel["table"]["host"]) == ("added", "a")
    assert "shell" in result["not_imported"][0]["reason"]


@pytest.mark.parametrize("command", ["check", "show", "add"])
def test_a_path_that_is_no_utf_8_is_escaped(tool: Tool, command: str) -> None:
    path = tool.home / "\udcff.toml"
    path.write_text(CONFIG.replace("1080", "0"))
    words = {"check": [], "show": ["db"], "add": ["web", "relay", "-D", "1082"]}[command]

    done = tool("--config", str(path), command, *words, "--json")

    assert done.code == 2
    assert "\\udcff.toml" in json.dumps(json.loads(done.out), ensure_ascii=False)
