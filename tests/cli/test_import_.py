"""`tunnelkeeper import`: its output, the files it writes, and its messages."""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.config import load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Tool

pytestmark = pytest.mark.usefixtures("ssh")

LINE = ("-M", "0", "-f", "-N", "-L", "5432:db:5432", "ann@relay.example.com")
UNIT = "[Service]\nExecStart=/usr/bin/autossh -M 0 -N -D 1080 ann@relay.example.com\n"


def tunnels(text: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = tomllib.loads(text).get("tunnels", {})
    return found


# -- printing --------------------------------------------------------------------------------------


def test_a_command_line_is_printed_as_toml_and_nothing_is_written(tool: Tool) -> None:
    done = tool("import", "autossh", "--", *LINE)

    assert (done.code, done.err) == (0, "")
    assert tunnels(done.out) == {
        "relay-5432": {"host": "ann@relay.example.com", "local": ["5432:db:5432"]}
    }
    assert "# -f: " in done.out
    assert not tool.config.exists()


def test_autossh_variables_are_read_from_the_environment(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSSH_GATETIME", "60")
    monkeypatch.setenv("AUTOSSH_POLL", "90")

    done = tool("import", "autossh", "--", "-M", "20000", *LINE[2:])

    [table] = tunnels(done.out).values()
    assert (table["gate_time"], table["keepalive_interval"]) == (60, 90)
    assert "AUTOSSH_GATETIME became gate_time" in done.out


def test_a_shell_is_refused_with_a_hint_to_tunnelkeeper_autossh(tool: Tool) -> None:
    done = tool("import", "ssh", "--", "ann@relay")

    assert (done.code, done.out) == (1, "")
    assert "not imported: a command line of ssh: it runs a shell" in done.err
    assert "`tunnelkeeper autossh`" in done.err


def test_a_command_line_without_double_dash_is_a_usage_error(tool: Tool) -> None:
    assert tool("import", "autossh", *LINE).code == 2


def test_an_argument_cannot_end_a_comment(tool: Tool) -> None:
    line = ("-N", "-D", "1", "-o", "SetEnv=A=[tunnels.evil]", "-o", "LogLevel=INFO", "relay")
    done = tool("import", "ssh", "--", *line)

    assert list(tunnels(done.out)) == ["relay-1"]
    assert "[tunnels.evil]" in done.out


# -- units -----------------------------------------------------------------------------------------


def test_a_unit_file_is_imported_and_other_files_are_reported(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "db.service").write_text(UNIT)
    (tmp_path / "other.service").write_text("[Service]\nExecStart=/bin/true\n")

    done = tool(
        "import", "unit", *(str(tmp_path / f"{name}.service") for name in ("db", "other", "none"))
    )

    assert done.code == 1
    assert list(tunnels(done.out)) == ["db"]
    assert "other.service: it runs neither ssh nor autossh" in done.err
    assert "none.service: No such file or directory" in done.err


def test_an_instance_is_read_from_the_file_of_its_template(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "port@.service").write_text(UNIT.replace("1080", "%i"))

    done = tool("import", "unit", str(tmp_path / "port@1081.service"))

    assert tunnels(done.out)["1081"]["socks"] == ["1081"]
    assert "is a template" in tool("import", "unit", str(tmp_path / "port@.service")).err


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    return directory


def program(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_unit_name_is_read_with_systemctl_cat_and_its_drop_ins(
    tool: Tool, programs: Path
) -> None:
    text = f"# /etc/systemd/system/db.service\n{UNIT}\n# /etc/x.conf\n[Service]\nUser=nobody\n"
    (programs / "text").write_text(text)
    program(programs, "systemctl", f'echo "$*" > {programs}/arguments; cat {programs}/text')

    done = tool("import", "unit", "db")

    assert tunnels(done.out)["db"]["socks"] == ["1080"]
    assert "It ran as nobody" in done.out
    assert (programs / "arguments").read_text() == "--no-pager cat -- db.service\n"
    tool("import", "unit", "--user", "db.service")
    assert (programs / "arguments").read_text() == "--user --no-pager cat -- db.service\n"


def test_an_error_of_systemctl_is_reported(tool: Tool, programs: Path) -> None:
    program(programs, "systemctl", 'echo "No files found for db.service." >&2; exit 1')

    done = tool("import", "unit", "db")

    assert done.code == 1
    assert "No files found for db.service." in done.err


# -- crontabs --------------------------------------------------------------------------------------


def test_the_user_s_own_crontab_is_read_by_default(tool: Tool, programs: Path) -> None:
    program(programs, "crontab", 'echo "@reboot autossh -M 0 -f -N -R 1:localhost:22 relay &"')

    done = tool("import", "crontab")

    assert tunnels(done.out)["relay-1"]["remote"] == ["1:localhost:22"]
    assert "# Imported from crontab -l, line 1." in done.out


def test_a_crontab_without_ssh_is_reported(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "tab").write_text("0 3 * * * backup\n")

    done = tool("import", "crontab", str(tmp_path / "tab"))

    assert (done.code, done.out) == (1, "")
    assert "no line starts ssh or autossh" in done.err
    assert tool("import", "crontab", str(tmp_path / "none")).code == 1


# -- ssh_config ------------------------------------------------------------------------------------

SSH_CONFIG = """\
Host office
  LocalForward 5432 db:5432
Host office2
  LocalForward 5432 db2:5432
Host home other
  RemoteForward 2222 localhost:22
Host plain
  HostName plain.example.com
Host *.lab
  DynamicForward 1080
"""


@pytest.fixture
def hosts(tool: Tool, tmp_path: Path) -> Path:
    path = tmp_path / "ssh_config"
    path.write_text(SSH_CONFIG)
    tool.config.write_text(f'[supervisor]\nssh_config = "{path}"\n')
    return path


@pytest.mark.usefixtures("hosts")
def test_hosts_with_forwards_are_imported_and_patterns_are_reported(tool: Tool) -> None:
    done = tool("import", "ssh-config")

    assert {name: table["host"] for name, table in tunnels(done.out).items()} == {
        name: name for name in ("office", "home", "other")
    }
    assert "patterns are skipped: *.lab" in done.err
    assert "host office2: it listens on localhost:5432, which office already uses" in done.err
    assert done.code == 1


@pytest.mark.usefixtures("hosts")
def test_hosts_are_selected_by_pattern_or_name(tool: Tool) -> None:
    assert list(tunnels(tool("import", "ssh-config", "ho*").out)) == ["home"]
    assert list(tunnels(tool("import", "ssh-config", "a.lab").out)) == ["a.lab"]
    assert "forwards nothing" in tool("import", "ssh-config", "plain").err
    assert "no host of ssh_config has forwards" in tool("import", "ssh-config", "x*").err


def test_an_import_from_ssh_config_keeps_the_host_settings_there(tool: Tool, hosts: Path) -> None:
    done = tool("import", "ssh-config", "--write", "home")

    assert (done.code, done.err) == (0, "")
    assert load(tool.config).tunnels["home"].options.hostname is None
    assert hosts.read_text() == SSH_CONFIG


# -- writing ---------------------------------------------------------------------------------------

OLD = '# mine\n[tunnels.relay-5432]\nhost = "old"\nsocks = 1080 # here\n'


def test_an_import_is_added_to_the_file_and_a_taken_name_gets_a_suffix(tool: Tool) -> None:
    tool.config.write_text(OLD)

    done = tool("import", "autossh", "--write", "--", *LINE)

    assert done.code == 0
    assert done.err == (
        "relay-5432 exists already, so this one is named relay-5432-2\n"
        "  hint: to replace relay-5432, add --replace\n"
    )
    assert "added relay-5432-2: a command line of autossh" in done.out
    assert tool.config.read_text().startswith(OLD)
    assert list(load(tool.config).tunnels) == ["relay-5432", "relay-5432-2"]


def test_replace_replaces_the_tunnel_of_that_name(tool: Tool) -> None:
    tool.config.write_text(OLD)

    done = tool("import", "autossh", "--write", "--replace", "--", *LINE)

    assert "replaced relay-5432: a command line of autossh" in done.out
    assert tool.config.read_text().startswith("# mine\n# Imported from")
    [tunnel] = load(tool.config).tunnels.values()
    assert tunnel.host == "ann@relay.example.com"


@pytest.mark.parametrize(
    "source", [("autossh", "--write", "--", *LINE), ("unit", "--write", "UNIT")]
)
def test_a_second_import_of_the_same_tunnel_mentions_replace(
    source: tuple[str, ...], tool: Tool, tmp_path: Path
) -> None:
    unit = tmp_path / "relay.service"
    unit.write_text(UNIT)
    arguments = [str(unit) if each == "UNIT" else each for each in source]
    tool("import", *arguments)
    [name] = load(tool.config).tunnels
    before = tool.config.read_text()

    done = tool("import", *arguments)

    assert done.code == 2
    assert f"hint: to replace {name}, add --replace\nnothing was written" in done.err
    assert tool.config.read_text() == before
    assert tool("import", source[0], "--replace", *arguments[1:]).code == 0


def test_an_import_from_ssh_config_is_checked_without_a_warning(tool: Tool, hosts: Path) -> None:
    with hosts.open("a") as file:
        file.write("Host *\n  GatewayPorts yes\n")
    assert tool("import", "ssh-config", "--write", "office", "home").code == 0

    assert tool("check").err == ""


def test_replace_requires_write(tool: Tool) -> None:
    assert tool("import", "ssh", "--replace", "--", *LINE).code == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[tunnels.db]\n", "'host' is missing"),
        ('[tunnels.db]\nhost = "h"\nlocal = "5432:a:1"\n', "listens on"),
    ],
)
def test_an_invalid_result_is_reported_and_nothing_is_written(
    tool: Tool, text: str, reason: str
) -> None:
    tool.config.write_text(text)

    done = tool("import", "autossh", "--write", "--", *LINE)

    assert done.code == 2
    assert reason in done.err
    assert "nothing was written" in done.err
    assert tool.config.read_text() == text


def test_printing_works_with_a_broken_config_file(tool: Tool) -> None:
    tool.config.write_text("broken")

    assert tool("import", "autossh", "--", *LINE).code == 0


def test_hosts_with_a_hosts_table_are_reported(tool: Tool) -> None:
    tool.config.write_text('[hosts."relay.example.com"]\nport = 24\n')

    done = tool("import", "autossh", "--write", "--", *LINE)

    assert "the [hosts] tables of relay.example.com apply" in done.err


def test_import_without_ssh_is_an_error(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    done = tool("import", "autossh", "--", *LINE)

    assert (done.code, "ssh is not installed" in done.err) == (1, True)
