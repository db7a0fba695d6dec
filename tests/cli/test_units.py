from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.cli import unit_options
from tunnelkeeper.systemd.unit_templates import MARKER, RELAY, RELAY_SOCKET, SUPERVISOR, TEMPLATE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Tool

FAKE = """\
#!/bin/sh
printf '%s\\n' "$(basename "$0") $*" >> "$TK_NOTES"
case "$0 $*" in
  *"$TK_FAILS"*) echo "that went wrong" >&2; exit 1 ;;
  *Linger*) echo "Linger=$TK_LINGER" ;;
  *ActiveState*) echo "$TK_STATE" ;;
esac
"""


class FakeSystemd:
    """systemctl and loginctl on the PATH, which note what they are asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._notes = folder / "notes"
        self._monkeypatch = monkeypatch
        programs = folder / "programs"
        programs.mkdir()
        for name in ("systemctl", "loginctl"):
            (programs / name).write_text(FAKE)
            (programs / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("TK_NOTES", str(self._notes))
        self.says(fails="nothing at all", linger="no", state="inactive")

    def says(self, **answers: str) -> None:
        """fails: a command line's part that fails. linger: yes or no. state: of every unit."""
        for name, answer in answers.items():
            self._monkeypatch.setenv(f"TK_{name.upper()}", answer)

    def asked(self) -> list[str]:
        """What systemctl was told to do; questions are left out."""
        lines = self._notes.read_text().splitlines() if self._notes.exists() else []
        told = [line.removeprefix("systemctl --user ") for line in lines if "loginctl" not in line]
        return [line for line in told if not line.startswith("show ")]


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystemd:
    return FakeSystemd(tmp_path, monkeypatch)


@pytest.fixture
def folder(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the units go; the config file is where it is by default, with two tunnels."""
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
    """What a setting is set to."""
    [value] = re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)
    return str(value)


# -- print -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("folder")
def test_the_printed_unit_starts_this_program_without_options_where_defaults_do(tool: Tool) -> None:
    done = tool("units", "print")

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(MARKER)
    assert line(done.out, "ExecStart") == f"{' '.join(unit_options.program())} up"


def test_what_the_service_cannot_know_is_written_into_its_unit(tool: Tool) -> None:
    out = tool("units", "print", "--ready", "up").out

    where = f"--config {tool.config} --socket {tool.socket}"
    assert line(out, "ExecStart").endswith(f" {where} up --ready up")
    assert line(out, "ExecReload").endswith(f" {where} reload")


@pytest.mark.usefixtures("folder")
def test_the_installed_command_is_named_as_it_was_called(
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


@pytest.mark.usefixtures("folder")
def test_a_unit_of_the_system_reads_its_files_from_etc(tool: Tool) -> None:
    out = tool("units", "print", "--system").out
    relay = tool("units", "print", "--system", "--kind", "relay").out

    assert "--config /etc/tunnelkeeper/tunnels.toml --socket %t/tunnelkeeper/control.sock up" in out
    assert "--config /etc/tunnelkeeper/relay.toml" in relay


@pytest.mark.usefixtures("folder")
def test_several_files_are_printed_with_their_names(tool: Tool) -> None:
    out = tool("units", "print", "--kind", "relay").out

    assert [each for each in out.splitlines() if each in {f"# {RELAY}", f"# {RELAY_SOCKET}"}] == [
        f"# {RELAY}",
        f"# {RELAY_SOCKET}",
    ]
    assert line(out, "ListenStream") == "127.0.0.1:2222"


@pytest.mark.usefixtures("folder")
def test_the_relays_socket_listens_where_its_config_file_says(tool: Tool) -> None:
    file = tool.home / "relay.toml"
    file.write_text('listen = ["0.0.0.0:22", "[::1]:23"]\n')

    out = tool("--config", str(file), "units", "print", "--kind", "relay").out

    assert "ListenStream=0.0.0.0:22\nListenStream=[::1]:23\n" in out
    assert line(out, "ExecStart").endswith(f" --config {file} relay serve")

    file.write_text('listen = "relay.example.com:22"\n')
    done = tool("--config", str(file), "units", "print", "--kind", "relay")
    assert done.code == 2


@pytest.mark.usefixtures("folder")
def test_what_cannot_be_written_is_refused(tool: Tool) -> None:
    newline = tool("--config", "/a\nb", "units", "print")
    name = tool("units", "print", "--on-failure", "alarm; reboot")

    assert (newline.code, newline.out) == (2, "")
    assert "a unit file cannot contain a control character" in newline.err
    assert name.code == 2
    assert "is not the name of a unit" in name.err


# -- install ---------------------------------------------------------------------------------------


def test_install_writes_enables_and_says_how_to_have_it_without_a_login(
    tool: Tool, systemd: FakeSystemd, folder: Path
) -> None:
    done = tool("units", "install")

    assert (done.code, done.err) == (0, "")
    assert systemd.asked() == ["daemon-reload", f"enable {SUPERVISOR}"]
    assert (folder / SUPERVISOR).read_text() == tool("units", "print").out
    assert f"wrote {folder / SUPERVISOR}" in done.out
    assert "loginctl enable-linger" in done.out


@pytest.mark.usefixtures("folder")
def test_install_now_starts_it(tool: Tool, systemd: FakeSystemd) -> None:
    systemd.says(linger="yes")

    done = tool("units", "install", "--now")

    assert systemd.asked()[-1] == f"start {SUPERVISOR}"
    assert "start at boot, without a login" in done.out


@pytest.mark.usefixtures("folder")
def test_installed_again_it_says_what_is_left_to_do(tool: Tool, systemd: FakeSystemd) -> None:
    tool("units", "install")
    systemd.says(state="active", fails="Linger")

    same = tool("units", "install")
    other = tool("units", "install", "--ready", "up")

    assert "unchanged" in same.out
    assert "restart" not in same.out
    assert f"systemctl --user restart {SUPERVISOR}" in other.out
    assert "cannot tell whether lingering is on" in other.out


def test_tunnels_with_units_of_their_own_are_enabled_each(
    tool: Tool, systemd: FakeSystemd, folder: Path
) -> None:
    assert tool("units", "install", "--now", "--per-tunnel", "db", "web").code == 0
    assert systemd.asked() == [
        "daemon-reload",
        "enable tunnelkeeper@db.service tunnelkeeper@web.service",
        "start tunnelkeeper@db.service tunnelkeeper@web.service",
    ]
    assert [path.name for path in folder.iterdir()] == [TEMPLATE]


def test_the_relay_is_installed_with_its_socket(
    tool: Tool, systemd: FakeSystemd, folder: Path
) -> None:
    assert tool("units", "install", "--kind", "relay").code == 0
    assert systemd.asked() == ["daemon-reload", f"enable {RELAY}"]
    assert {path.name for path in folder.iterdir()} == {RELAY, RELAY_SOCKET}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["db"], 2, "--per-tunnel"),
        (["--per-tunnel"], 2, "NAMEs"),
        (["--per-tunnel", "dbb"], 4, "no tunnel is named 'dbb'"),
        (["--kind", "router"], 2, "--kind"),
    ],
)
def test_what_makes_no_sense_installs_nothing(
    tool: Tool, systemd: FakeSystemd, folder: Path, arguments: list[str], code: int, said: str
) -> None:
    done = tool("units", "install", *arguments)

    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert not folder.exists()
    assert systemd.asked() == []


def test_without_a_manager_nothing_is_written_and_it_is_said_what_to_do(
    tool: Tool, systemd: FakeSystemd, folder: Path
) -> None:
    systemd.says(fails="Version")

    done = tool("units", "install")

    assert done.code == 1
    assert "does not answer: that went wrong" in done.err
    assert "enable-linger" in done.err
    assert not folder.exists()


@pytest.mark.usefixtures("folder")
def test_what_systemctl_refuses_is_told_in_its_words(tool: Tool, systemd: FakeSystemd) -> None:
    systemd.says(fails="enable")

    done = tool("units", "install")

    assert done.code == 1
    assert f"systemctl --user enable {SUPERVISOR}: that went wrong" in done.err


def test_without_systemd_it_says_so(
    tool: Tool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tool.home))

    done = tool("units", "install")

    assert done.code == 1
    assert "this machine has no systemd" in done.err
    assert not folder.exists()


# -- uninstall -------------------------------------------------------------------------------------


def test_uninstall_stops_disables_and_removes_what_we_wrote(
    tool: Tool, systemd: FakeSystemd, folder: Path
) -> None:
    tool("units", "install")
    tool("units", "install", "--per-tunnel", "db")
    (folder / RELAY).write_text("[Service]\nExecStart=/theirs\n")
    before = len(systemd.asked())

    done = tool("units", "uninstall")

    assert (done.code, done.err) == (0, "")
    assert systemd.asked()[before:] == [
        f"stop {SUPERVISOR} tunnelkeeper@*.service",
        f"disable {SUPERVISOR} {TEMPLATE}",
        f"reset-failed {SUPERVISOR} tunnelkeeper@*.service",
        "daemon-reload",
    ]
    assert [path.name for path in folder.iterdir()] == [RELAY]


@pytest.mark.usefixtures("folder")
def test_with_nothing_installed_nothing_is_removed(tool: Tool, systemd: FakeSystemd) -> None:
    done = tool("units", "uninstall")

    assert done.code == 0
    assert "no units of tunnelkeeper" in done.out
    assert systemd.asked() == []
