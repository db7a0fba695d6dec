"""Checks of file modes, certificates, passphrases and agents."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.agent import Agent
from tests.e2e.keys import make_key
from tests.requirements import require
from tunnelkeeper.doctor import login_checks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.doctor.conftest import Patient


def run_remedy(remedy: str) -> None:
    subprocess.run(["/bin/sh", "-c", remedy], check=True)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    running = Agent(tmp_path)
    running.start()
    yield running
    running.close()


def certify(patient: Patient, validity: str) -> Path:
    """Sign a certificate for the key of the patient."""
    authority = make_key(patient.home / "authority")
    command = [require("ssh-keygen"), "-q", "-s", str(authority), "-I", "me", "-n", "me"]
    subprocess.run([*command, "-V", validity, f"{patient.key}.pub"], check=True)
    return patient.key.with_name("key-cert.pub")


def test_a_healthy_set_up_has_no_findings(patient: Patient) -> None:
    for check in ("file_modes", "certificates", "passphrases", "agent"):
        assert patient.findings(check) == []


@pytest.mark.parametrize("name", ["home/.ssh", "home/.ssh/known_hosts", "tunnels.toml"])
def test_what_others_can_write_to_is_a_failure_until_its_remedy_has_run(
    patient: Patient, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    if not path.exists():
        path.touch()
    path.chmod(path.stat().st_mode | 0o002)

    [(status, text, remedy)] = patient.findings("file_modes")

    assert (status, remedy) == ("failed", f"chmod go-w {path}")
    assert text.startswith(f"{path} can be written by others (mode ")
    run_remedy(remedy)
    assert patient.findings("file_modes") == []


@pytest.mark.parametrize(
    ("validity", "status", "text"),
    [
        ("-2d:-1d", "failed", "expired at "),
        ("+1d:+2d", "failed", "is not valid before "),
        ("-1d:+2d", "warning", "expires at "),
        ("-1d:+50d", "", ""),
        ("always:forever", "", ""),
    ],
)
def test_a_certificate_is_reported_unless_it_is_valid_for_long(
    patient: Patient, validity: str, status: str, text: str
) -> None:
    path = certify(patient, validity)

    found = [(each[0], each[1]) for each in patient.findings("certificates")]

    assert [each[0] for each in found] == ([status] if status else [])
    assert all(each[1].startswith(f"{path} {text}") for each in found)


def test_a_certificate_concerns_the_tunnels_that_use_it(patient: Patient) -> None:
    certify(patient, "-2d:-1d")
    patient.write_config(more='[tunnels.web]\nhost = "web.example.com"\n')

    [found] = [each for each in patient.examine("certificates") if each.result.status == "failed"]

    assert found.result.subject.tunnels == ("db", "web")


def test_an_encrypted_key_is_worth_a_word_unless_the_agent_holds_it(
    patient: Patient, agent: Agent
) -> None:
    plain = patient.key.with_name("plain")
    shutil.copy(patient.key, plain)
    plain.chmod(0o600)
    make_key_encrypted = [require("ssh-keygen"), "-q", "-p", "-N", "secret word", "-f"]
    subprocess.run([*make_key_encrypted, str(patient.key)], check=True)

    [(status, text, remedy)] = patient.findings("passphrases")

    assert (status, remedy) == ("info", f"ssh-add {patient.key}")
    assert text == f"{patient.key} is encrypted, so a person is asked for its passphrase"
    agent.add(plain)
    patient.write_config(f'identity_agent = "{agent.socket}"')
    assert patient.findings("passphrases") == []


def test_an_encrypted_key_with_a_stored_passphrase_is_fine(patient: Patient) -> None:
    make_key(patient.key, passphrase="secret word")
    patient.write_config('passphrase_command = ["echo", "secret word"]')

    assert patient.findings("passphrases") == []


def test_a_missing_agent_is_worth_a_word(patient: Patient, tmp_path: Path) -> None:
    patient.write_config(f'identity_agent = "{tmp_path / "none"}"')

    [(status, text, _)] = patient.findings("agent")

    assert (status, text) == (
        "info",
        f"there is no agent at {tmp_path / 'none'}, so only key files are used",
    )


def test_an_agent_that_does_not_answer_is_a_warning(
    patient: Patient, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_checks, "AGENT_TIMEOUT", 0.2)
    patient.write_config(f'identity_agent = "{agent.socket}"')
    agent.suspend()
    [(status, text, remedy)] = patient.findings("agent")
    agent.resume()

    assert (status, text) == ("warning", f"the agent at {agent.socket} does not answer")
    assert remedy == f"SSH_AUTH_SOCK={agent.socket} ssh-add -l"


def test_more_keys_than_a_server_accepts_are_a_warning_unless_identities_only(
    patient: Patient, agent: Agent
) -> None:
    for number in range(login_checks.MAX_TRIES + 1):
        agent.add(make_key(patient.home / f"key{number}"))
    patient.write_config(f'identity_agent = "{agent.socket}"')

    [(status, text, remedy)] = patient.findings("agent")

    assert (status, "has 7 keys, and a server accepts 6 offers" in text) == ("warning", True)
    assert "identities_only = true" in remedy
    patient.write_config(f'identity_agent = "{agent.socket}"', "identities_only = true")
    assert patient.findings("agent") == []
