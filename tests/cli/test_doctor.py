"""`doctor` as a command: its output, its JSON and its exit code."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.control.fakes import REFUSED, a_tunnel, running_server
from tunnelkeeper.cli.main import run
from tunnelkeeper.core.doctor_checks import CHECKS

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
[supervisor]
ssh_config = false

[tunnels.db]
host = "me@relay"
"""


def unpack(bundle: Path) -> dict[str, str]:
    """Return the files of an archive, by their names in its folder."""
    files = {}
    with tarfile.open(bundle) as archive:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            files[member.name.removeprefix("tunnelkeeper-doctor/")] = content.read().decode()
    return files


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "tunnels.toml").write_text(CONFIG)
    socket = str(tmp_path / "run" / "control.sock")
    return ["--config", str(tmp_path / "tunnels.toml"), "--socket", socket, "doctor"]


def test_a_fault_makes_the_exit_code_one_and_comes_first_with_its_remedy(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = run([*arguments, "--check", "tunnels"])

    first, second, *rest = capsys.readouterr().out.splitlines()
    assert code == 1
    assert first.startswith("failed   supervisor: ")
    assert second == "         hint: tunnelkeeper up --detach"
    assert "skipped  tunnels (depends on supervisor)" in rest


def test_another_config_file_of_the_supervisor_has_a_remedy_of_its_own(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_server(tmp_path / "run" / "control.sock"):
        code = run([*arguments, "--check", "supervisor"])

    out = capsys.readouterr().out
    assert code == 1
    assert "failed   supervisor: " in out
    assert "tunnelkeeper up --detach" not in out


def test_what_the_supervisor_reports_is_part_of_it(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tunnel = a_tunnel(state="backoff", failure=REFUSED)
    with running_server(tmp_path / "run" / "control.sock", tunnel) as server:
        server.fake.config = arguments[1]
        code = run([*arguments, "--check", "tunnels"])

    first, second, *_ = capsys.readouterr().out.splitlines()
    assert code == 1
    assert first == "failed   tunnels: db: refused at me@relay:22: Connection refused"
    assert second == "         hint: is sshd running?"


def test_the_json_has_every_finding(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run([*arguments, "--json", "--check", "supervisor"])

    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)["checks"]}
    assert set(found) == {"disk", "config", "supervisor"}
    assert found["supervisor"] == {
        "name": "supervisor",
        "status": "failed",
        "tunnel": "",
        "tunnels": [],
        "hop": "",
        "forward": "",
        "finding": found["supervisor"]["finding"],
        "remedy": "tunnelkeeper up --detach",
        "depends_on": ["config", "disk"],
    }


def test_the_exit_code_is_zero_without_a_fault(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--check", "clock"]) == 0
    assert capsys.readouterr().out == "ok       clock\n"


def test_the_checks_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--list-checks"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [check.name for check in CHECKS]


def test_the_list_of_checks_has_a_json_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--list-checks", "--json"]) == 0

    listed = json.loads(capsys.readouterr().out)["checks"]
    assert [(each["name"], each["depends_on"]) for each in listed] == [
        (check.name, list(check.depends_on)) for check in CHECKS
    ]


def test_the_bundle_has_what_was_found_and_no_secret(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, bundle = tmp_path / "tunnels.toml", tmp_path / "report.tar.gz"
    config.write_text(f'{CONFIG}proxy_command = "corkscrew --password hunter2"\n')
    with running_server(tmp_path / "run" / "control.sock", a_tunnel()) as server:
        server.fake.config = arguments[1]
        run([*arguments, "--bundle", str(bundle)])

    files = unpack(bundle)
    assert set(files) == {
        "findings.txt",
        "findings.json",
        "versions.txt",
        "tunnels.toml",
        "status.json",
        "log.txt",
    }
    assert bundle.stat().st_mode & 0o777 == 0o600
    assert json.loads(files["findings.json"])["checks"]
    assert json.loads(files["status.json"])["tunnels"][0]["name"] == "db"
    assert "asyncssh: 2" in files["versions.txt"]
    assert not any("hunter2" in text for text in files.values())
    assert "tunnels.toml (" in capsys.readouterr().err


def test_a_bundle_replaces_no_file(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "report.tar.gz"
    bundle.write_text("mine")

    assert run([*arguments, "--check", "clock", "--bundle", str(bundle)]) == 2
    assert bundle.read_text() == "mine"
    assert "exists already" in capsys.readouterr().err


def test_a_config_file_that_is_not_toml_leaves_its_problems_in_the_bundle(
    arguments: list[str], tmp_path: Path
) -> None:
    (tmp_path / "tunnels.toml").write_text("password = hunter2\n")
    bundle = tmp_path / "report.tar.gz"

    run([*arguments, "--bundle", str(bundle)])

    text = unpack(bundle)["tunnels.toml"]
    assert text.startswith("# ")
    assert "hunter2" not in text


def test_an_unknown_check_and_an_unknown_tunnel_are_errors(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--check", "nonsense"]) == 2
    assert run([*arguments, "web"]) == 4
    assert "no tunnel is named 'web'" in capsys.readouterr().err
