"""Checks of the clock, the disk, the limit of open files and ssh."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tests.requirements import require
from tunnelkeeper.doctor import machine_checks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.doctor.conftest import Patient

HOURS = 3600.0


def test_a_healthy_machine_has_no_findings(patient: Patient) -> None:
    for check in ("clock", "disk", "open_files", "ssh_command"):
        assert patient.findings(check) == []


def test_a_clock_that_was_never_set_is_a_failure(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 60.0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")

    [(status, text, remedy)] = patient.findings("clock")

    assert status == "failed"
    assert text.startswith("the clock says 1970-01-01 00:01 UTC")
    assert remedy == "sudo timedatectl set-ntp true"


def test_a_config_file_from_the_future_is_a_warning(patient: Patient) -> None:
    ahead = time.time() + 48 * HOURS
    os.utime(patient.machine.config, (ahead, ahead))

    [(status, text, _)] = patient.findings("clock")

    assert (status, "the config file was changed after that" in text) == ("warning", True)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 64 kB."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = [require("mount"), "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root can mount a file system")
    yield folder
    subprocess.run([require("umount"), str(folder)], check=True)


def test_a_full_disk_is_a_failure_and_what_needs_it_is_skipped(
    patient: Patient, full_disk: Path
) -> None:
    patient.machine = replace(patient.machine, state_folder=full_disk / "tunnelkeeper")

    found = {each.check.name: each.result for each in patient.examine("supervisor")}

    assert (found["disk"].status, found["supervisor"].status) == ("failed", "skipped")
    assert f"the disk of {full_disk} is full" in found["disk"].text
    assert found["disk"].remedy == f"df -h {full_disk}"


@pytest.mark.parametrize(
    "changes",
    [{"f_flag": os.ST_RDONLY, "f_blocks": 100}, {"f_flag": 0, "f_blocks": 0}],
    ids=["a read-only image", "a file system without a size"],
)
def test_a_file_system_that_has_no_free_space_by_nature_is_not_full(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, changes: dict[str, int]
) -> None:
    status = SimpleNamespace(f_bavail=0, f_frsize=4096, f_files=0, f_favail=0, **changes)
    monkeypatch.setattr(os, "statvfs", lambda _: status)

    assert patient.findings("disk") == []


def test_a_command_is_a_remedy_only_where_its_program_is(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 60.0)
    monkeypatch.setattr(shutil, "which", lambda _: None)

    [(_, _, remedy)] = patient.findings("clock")

    assert remedy == "set the clock of this machine, best by NTP"


@pytest.mark.parametrize(("limit", "status"), [(60, "failed"), (200, "warning"), (4096, "")])
def test_the_limit_of_open_files_is_compared_with_the_forwards(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, limit: int, status: str
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    patient.write_config('local = ["1:a:1", "2:b:2"]')

    found = patient.findings("open_files")

    assert [each[0] for each in found] == ([status] if status else [])
    assert all(f"the limit of open files is {limit}" in each[1] for each in found)


def test_an_unlimited_number_of_open_files_suffices(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlimited = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda _: (unlimited, unlimited))

    assert patient.findings("open_files") == []


def test_a_host_that_cannot_be_looked_up_is_a_failure_of_its_tunnel_alone(
    patient: Patient, tmp_path: Path
) -> None:
    (tmp_path / "ssh_config").write_text(
        "Host broken\n  ProxyUseFdpass yes\n  ProxyCommand nc %h\n"
    )
    text = patient.machine.config.read_text()
    more = '[tunnels.broken]\nhost = "broken"\n'
    ssh_config = f'ssh_config = "{tmp_path / "ssh_config"}"'
    patient.machine.config.write_text(text.replace("ssh_config = false", ssh_config) + more)

    failed = [each for each in patient.examine() if each.result.status == "failed"]

    assert [(each.check.name, each.result.subject.tunnels) for each in failed] == [
        ("config", ("broken",)),
        ("supervisor", ()),
    ]


def test_a_slow_lookup_is_a_warning_with_the_command_that_shows_where_it_waits(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_checks, "SLOW_LOOKUP", 0.0)
    text = patient.machine.config.read_text()
    patient.machine.config.write_text(
        text.replace('"relay.ex', '"you@relay.ex').replace('.com"', '.com:2222"')
    )

    [(status, text, remedy)] = patient.findings("ssh_command")

    assert (status, remedy) == (
        "warning",
        "ssh -v -G -N -F none -l you -p 2222 -- relay.example.com",
    )
    assert text.startswith("looking you@relay.example.com:2222 up takes ")


def test_a_machine_without_ssh_is_worth_a_word(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_checks, "obstacle_to_ssh", lambda _: "ssh is not installed")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")

    [(status, text, remedy)] = patient.findings("ssh_command")

    assert (status, remedy) == ("info", "sudo apt install openssh-client")
    assert text.startswith("ssh is not installed")
