from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.cli.fake_systemd import FakeSystemd
from tunnelkeeper import paths
from tunnelkeeper.cli import unit_options
from tunnelkeeper.control.file_claim import FileClaim
from tunnelkeeper.systemd.unit_templates import MARKER, RELAY, RELAY_SOCKET, SUPERVISOR, TEMPLATE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Tool


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystemd:
    return FakeSystemd(tmp_path, monkeypatch)


@pytest.fixture
def units_directory(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of units, with a config file of two tunnels at its default path."""
    monkeypatch.delenv("TUNNELKEEPER_CONFIG")
    monkeypatch.delenv("TUNNELKEEPER_SOCKET")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    config = tool.home / ".config" / "tunnelkeeper" / "tunnels.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        'tunnels.db = { host = "relay", socks = "1080" }\n'
        'tunnels.web = { host = "relay", socks = "1081" }\n'
    )
    return tool.home / ".config" / "systemd" / "user"


def line(text: str, key: str) -> str:
    """Return the value of a setting."""
    [value] = re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)
    return str(value)


# -- print -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("units_directory")
def test_the_printed_unit_has_no_options_for_default_paths(tool: Tool) -> None:
    done = tool("units", "print")

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(MARKER)
    assert line(done.out, "ExecStart") == f"{' '.join(unit_options.program())} up"


def test_options_and_environment_are_written_into_the_unit(tool: Tool) -> None:
    out = tool("units", "print", "--ready", "up").out

    options = f"--config {tool.config} --socket {tool.socket}"
    assert line(out, "ExecStart").endswith(f" {options} up --ready up")
    assert line(out, "ExecReload").endswith(f" {options} reload")


def test_a_unit_starts_the_single_file_and_not_what_it_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tunnelkeeper.pyz"
    file.touch(0o755)
    monkeypatch.setattr("sys.argv", [str(file)])

    assert unit_options.program() == [str(file)]


@pytest.mark.usefixtures("units_directory")
def test_the_unit_uses_the_path_that_the_user_ran(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, link = tool.home / "venv" / "tunnelkeeper", tool.home / "bin" / "tunnelkeeper"
    for path in (real, link):
        path.parent.mkdir()
    real.write_text("#!/bin/sh\n")
    real.chmod(0o755)
    link.symlink_to(real)
    monkeypatch.chdir(tool.home)
    monkeypatch.setattr("sys.argv", ["bin/tunnelkeeper"])

    assert line(tool("units", "print").out, "ExecStart") == f"{link} up"


@pytest.mark.usefixtures("units_directory")
def test_a_system_unit_reads_its_files_from_etc(tool: Tool) -> None:
    out = tool("units", "print", "--system").out
    relay = tool("units", "print", "--system", "--kind", "relay").out

    assert "--config /etc/tunnelkeeper/tunnels.toml --socket %t/tunnelkeeper/control.sock up" in out
    assert (
        "--config /etc/tunnelkeeper-relay/relay.toml --socket %t/tunnelkeeper-relay/relay.sock"
        in relay
    )


@pytest.mark.usefixtures("units_directory")
def test_several_files_are_printed_with_their_names(tool: Tool) -> None:
    out = tool("units", "print", "--kind", "relay").out

    assert [name for name in out.splitlines() if name in {f"# {RELAY}", f"# {RELAY_SOCKET}"}] == [
        f"# {RELAY}",
        f"# {RELAY_SOCKET}",
    ]
    assert line(out, "ListenStream") == "127.0.0.1:2222"


@pytest.mark.usefixtures("units_directory")
def test_the_relay_socket_listens_on_the_addresses_of_its_config(tool: Tool) -> None:
    file = tool.home / "relay.toml"
    file.write_text('listen = ["0.0.0.0:22", "[::1]:23"]\n')

    out = tool("--config", str(file), "units", "print", "--kind", "relay").out

    assert "ListenStream=0.0.0.0:22\nListenStream=[::1]:23\n" in out
    assert line(out, "ExecStart").endswith(f" --config {file} relay serve")

    file.write_text('listen = "relay.example.com:22"\n')
    done = tool("--config", str(file), "units", "print", "--kind", "relay")
    assert done.code == 2


@pytest.mark.usefixtures("units_directory")
def test_values_that_a_unit_cannot_contain_are_refused(tool: Tool) -> None:
    newline = tool("--config", "/a\nb", "units", "print")
    name = tool("units", "print", "--on-failure", "alarm; reboot")

    assert (newline.code, newline.out) == (2, "")
    assert "a unit file cannot contain a control character" in newline.err
    assert name.code == 2
    assert "is not the name of a unit" in name.err


# -- install ---------------------------------------------------------------------------------------


def test_install_writes_and_enables_the_unit_and_explains_lingering(
    tool: Tool, systemd: FakeSystemd, units_directory: Path
) -> None:
    done = tool("units", "install")

    assert (done.code, done.err) == (0, "")
    assert systemd.commands() == ["daemon-reload", f"enable {SUPERVISOR}"]
    assert (units_directory / SUPERVISOR).read_text() == tool("units", "print").out
    assert f"wrote {units_directory / SUPERVISOR}" in done.out
    assert "loginctl enable-linger" in done.out


@pytest.mark.usefixtures("units_directory")
def test_install_now_starts_it(tool: Tool, systemd: FakeSystemd) -> None:
    systemd.configure(linger="yes")

    done = tool("units", "install", "--now")

    assert systemd.commands()[-1] == f"start {SUPERVISOR}"
    assert "start at boot, without a login" in done.out


@pytest.mark.usefixtures("units_directory")
def test_a_repeated_install_prints_what_is_left_to_do(tool: Tool, systemd: FakeSystemd) -> None:
    tool("units", "install")
    systemd.configure(state="active", fails="Linger")

    same = tool("units", "install")
    other = tool("units", "install", "--ready", "up")

    assert "unchanged" in same.out
    assert "restart" not in same.out
    assert f"systemctl --user restart {SUPERVISOR}" in other.out
    assert "cannot tell whether lingering is on" in other.out


def test_per_tunnel_units_are_enabled_individually(
    tool: Tool, systemd: FakeSystemd, units_directory: Path
) -> None:
    assert tool("units", "install", "--now", "--per-tunnel", "db", "w*").code == 0
    assert systemd.commands() == [
        "daemon-reload",
        "enable tunnelkeeper@db.service tunnelkeeper@web.service",
        "start tunnelkeeper@db.service tunnelkeeper@web.service",
    ]
    assert [path.name for path in units_directory.iterdir()] == [TEMPLATE]


def test_credentials_become_lines_and_needs_are_shown(
    tool: Tool, systemd: FakeSystemd, units_directory: Path
) -> None:
    done = tool("units", "install", "--credential", "password-relay:~/relay password")

    assert done.code == 0
    text = (units_directory / SUPERVISOR).read_text()
    assert line(text, "LoadCredential") == f"password-relay:{tool.home}/relay password"
    assert "a start with no one present needs an answer to this first:" in done.out
    assert "@relay:22: its host key is not known: tunnelkeeper trust db" in done.out
    assert systemd.commands()
    printed = tool("units", "print", "--encrypted-credential", "password-relay:/f").out
    assert line(printed, "LoadCredentialEncrypted") == "password-relay:/f"
    refused = tool("units", "install", "--credential", "password relay:/f")
    assert (refused.code, "not the name of a credential" in refused.err) == (2, True)


def test_root_installs_no_user_unit_of_the_relay(
    tool: Tool, systemd: FakeSystemd, units_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    done = tool("units", "install", "--kind", "relay")

    assert done.code == 2
    assert "units print --system --kind relay" in done.err
    assert systemd.commands() == []
    assert not units_directory.exists()


def test_the_relay_is_installed_with_its_socket(
    tool: Tool, systemd: FakeSystemd, units_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() or 1000)
    assert tool("units", "install", "--kind", "relay").code == 0
    assert systemd.commands() == ["daemon-reload", f"enable {RELAY}"]
    assert {path.name for path in units_directory.iterdir()} == {RELAY, RELAY_SOCKET}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["db"], 2, "--per-tunnel"),
        (["--per-tunnel"], 2, "NAMEs"),
        (["--per-tunnel", "dbb"], 4, "no tunnel is named 'dbb'"),
        (["--per-tunnel", "x*"], 4, "no tunnel matches 'x*'"),
        (["--kind", "router"], 2, "--kind"),
    ],
)
def test_invalid_arguments_install_nothing(
    tool: Tool,
    systemd: FakeSystemd,
    units_directory: Path,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    done = tool("units", "install", *arguments)

    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert not units_directory.exists()
    assert systemd.commands() == []


def test_without_a_user_manager_nothing_is_written_and_a_hint_is_printed(
    tool: Tool, systemd: FakeSystemd, units_directory: Path
) -> None:
    systemd.configure(fails="Version")

    done = tool("units", "install")

    assert done.code == 1
    assert "does not answer: that went wrong" in done.err
    assert "enable-linger" in done.err
    assert not units_directory.exists()


@pytest.mark.usefixtures("units_directory")
def test_an_error_of_systemctl_is_reported_with_its_text(tool: Tool, systemd: FakeSystemd) -> None:
    systemd.configure(fails="enable")

    done = tool("units", "install")

    assert done.code == 1
    assert f"systemctl --user enable {SUPERVISOR}: that went wrong" in done.err


def test_install_without_systemd_is_an_error(
    tool: Tool, units_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tool.home))

    done = tool("units", "install")

    assert done.code == 1
    assert "this machine has no systemd" in done.err
    assert not units_directory.exists()


@pytest.mark.parametrize("answers", [{"state": "active"}, {"file_state": "enabled"}])
def test_units_of_single_tunnels_are_refused_beside_the_service(
    tool: Tool, systemd: FakeSystemd, units_directory: Path, answers: dict[str, str]
) -> None:
    tool("units", "install")
    systemd.configure(**answers)

    done = tool("units", "install", "--per-tunnel", "db")

    assert done.code == 1
    assert "hint: systemctl --user disable --now tunnelkeeper.service" in done.err
    assert not (units_directory / TEMPLATE).exists()
    other = tool.home / "other file.toml"
    other.write_text('tunnels.db = { host = "relay", socks = "1080" }\n')
    assert tool("--config", str(other), "units", "install", "--per-tunnel", "db").code == 0


@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_service_is_refused_beside_units_of_single_tunnels(
    tool: Tool, systemd: FakeSystemd, units_directory: Path, *, is_enabled: bool
) -> None:
    tool("units", "install", "--per-tunnel", "db", "web")
    if is_enabled:
        wants = units_directory / "default.target.wants"
        wants.mkdir()
        for name in ("db", "web"):
            (wants / f"tunnelkeeper@{name}.service").symlink_to(units_directory / TEMPLATE)
    else:
        running = ("tunnelkeeper@db.service", "tunnelkeeper@web.service")
        systemd.configure(units="\n".join(f"{unit} loaded active running x" for unit in running))

    done = tool("units", "install")

    assert done.code == 1
    assert "--now tunnelkeeper@db.service tunnelkeeper@web.service" in done.err
    assert not (units_directory / SUPERVISOR).exists()


@pytest.mark.usefixtures("units_directory", "systemd")
@pytest.mark.parametrize("arguments", [[], ["--per-tunnel", "db"]])
def test_nothing_is_started_beside_another_supervisor_of_the_file(
    tool: Tool, arguments: list[str]
) -> None:
    config = tool.home / ".config" / "tunnelkeeper" / "tunnels.toml"
    claim = FileClaim(
        paths.claims_folder(os.environ), config, tool.home / "a b.sock", is_partial=False
    )
    claim.acquire()
    try:
        done = tool("units", "install", "--now", *arguments)
    finally:
        claim.release()

    assert done.code == 1
    assert f"hint: tunnelkeeper --socket '{tool.home}/a b.sock' down" in done.err


# -- uninstall -------------------------------------------------------------------------------------


def test_uninstall_stops_disables_and_removes_only_our_units(
    tool: Tool, systemd: FakeSystemd, units_directory: Path
) -> None:
    tool("units", "install")
    tool("units", "install", "--per-tunnel", "db")
    (units_directory / RELAY).write_text("[Service]\nExecStart=/theirs\n")
    before = len(systemd.commands())

    done = tool("units", "uninstall")

    assert (done.code, done.err) == (0, "")
    assert systemd.commands()[before:] == [
        f"stop {SUPERVISOR} tunnelkeeper@*.service",
        f"disable {SUPERVISOR} {TEMPLATE}",
        f"reset-failed {SUPERVISOR} tunnelkeeper@*.service",
        "daemon-reload",
    ]
    assert [path.name for path in units_directory.iterdir()] == [RELAY]


@pytest.mark.usefixtures("units_directory")
def test_uninstall_without_units_removes_nothing(tool: Tool, systemd: FakeSystemd) -> None:
    done = tool("units", "uninstall")

    assert done.code == 0
    assert "no units of tunnelkeeper" in done.out
    assert systemd.commands() == []
