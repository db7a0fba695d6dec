"""Checks of the supervisor's systemd unit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.cli.fake_systemd import FakeSystemd
from tunnelkeeper.systemd.unit_templates import MARKER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.doctor.conftest import Patient


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patient: Patient) -> FakeSystemd:
    (patient.machine.units / "tunnelkeeper.service").write_text(f"{MARKER}\n[Service]\n")
    fake = FakeSystemd(tmp_path, monkeypatch)
    fake.configure(show="UnitFileState=enabled\nActiveState=active", linger="yes")
    return fake


def test_no_unit_is_worth_a_word_where_systemd_runs(patient: Patient) -> None:
    assert patient.findings("unit") == []  # a container, or macOS
    (patient.machine.root / "run" / "systemd" / "system").mkdir(parents=True)
    [(status, _, remedy)] = patient.findings("unit")

    assert (status, remedy) == ("info", "tunnelkeeper units install --now")


def test_a_unit_that_starts_at_boot_has_no_findings(patient: Patient, systemd: FakeSystemd) -> None:
    assert patient.findings("unit") == []


@pytest.mark.parametrize(
    ("answers", "status", "remedy"),
    [
        (
            {"show": "UnitFileState=disabled\nActiveState=active"},
            "warning",
            "systemctl --user enable --now tunnelkeeper.service",
        ),
        (
            {"show": "UnitFileState=enabled\nActiveState=failed"},
            "failed",
            "journalctl --user -u tunnelkeeper.service -n 20",
        ),
        (
            {"show": "UnitFileState=enabled\nActiveState=active\nNeedDaemonReload=yes"},
            "warning",
            "systemctl --user daemon-reload",
        ),
        ({"linger": "no"}, "warning", "loginctl enable-linger"),
        ({"fails": "show"}, "warning", ""),
    ],
)
def test_what_keeps_a_unit_from_starting_is_reported(
    patient: Patient, systemd: FakeSystemd, answers: dict[str, str], status: str, remedy: str
) -> None:
    systemd.configure(**answers)

    assert [(found[0], found[2]) for found in patient.findings("unit")] == [(status, remedy)]


def test_a_unit_that_does_not_know_the_agent_is_a_warning(
    patient: Patient, systemd: FakeSystemd, tmp_path: Path
) -> None:
    patient.write_config(f'identity_agent = "{tmp_path / "agent"}"')
    environment = {"SSH_AUTH_SOCK": str(tmp_path / "agent")}
    patient.machine = replace(patient.machine, environment=environment)

    [(status, _, remedy)] = patient.findings("unit")

    assert (status, remedy) == ("warning", "systemctl --user import-environment SSH_AUTH_SOCK")
    systemd.configure(environment="SSH_AUTH_SOCK=/run/agent")
    assert patient.findings("unit") == []
