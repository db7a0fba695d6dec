"""Checks of the supervisor, its socket and what it reports."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING

import tunnelkeeper
from tests.control.fakes import REFUSED, a_forward, a_tunnel
from tunnelkeeper.core.diagnosis import Status
from tunnelkeeper.core.snapshot import HopSnapshot

if TYPE_CHECKING:
    from tests.doctor.conftest import Patient


def test_a_missing_supervisor_is_a_failure_and_what_asks_it_is_skipped(patient: Patient) -> None:
    found = {each.check.name: each.result for each in patient.examine("tunnels", "reload")}

    assert found["supervisor"].status is Status.FAILED
    assert found["supervisor"].text == "no supervisor is running"
    assert found["supervisor"].remedy == "tunnelkeeper up --detach"
    assert found["reload"].status is found["tunnels"].status is Status.SKIPPED
    assert found["reload"].text == "depends on supervisor"


def test_no_supervisor_is_needed_if_no_tunnel_starts_by_itself(patient: Patient) -> None:
    patient.write_config("autostart = false")

    [(status, text, _)] = patient.findings("supervisor")

    assert (status, text) == ("info", "no supervisor is running; no tunnel starts by itself")


def test_a_tunnel_that_is_up_has_no_findings(patient: Patient) -> None:
    patient.report(version=tunnelkeeper.__version__)

    for check in ("supervisor", "version", "reload", "tunnels"):
        assert patient.findings(check) == []


def test_a_supervisor_of_another_version_is_a_warning(patient: Patient) -> None:
    patient.report(version="0.1\x1b")

    [(status, text, remedy)] = patient.findings("version")

    assert (status, remedy) == ("warning", "tunnelkeeper down && tunnelkeeper up --detach")
    assert text.startswith("the supervisor has version 0.1\\x1b, and ")


def test_a_supervisor_of_systemd_is_restarted_by_systemd(patient: Patient) -> None:
    (patient.machine.units / "tunnelkeeper.service").touch()
    patient.report(version="0.1")

    [(_, _, remedy)] = patient.findings("version")

    assert remedy == "systemctl --user restart tunnelkeeper"


def test_a_config_file_that_is_not_applied_is_a_warning(patient: Patient) -> None:
    patient.report(config_changed=True)

    [(status, _, remedy)] = patient.findings("reload")

    assert (status, remedy) == ("warning", "tunnelkeeper reload")


def test_the_failure_of_a_tunnel_is_reported_with_its_hint(patient: Patient) -> None:
    patient.report(a_tunnel(state="backoff", failure=REFUSED))

    [found] = [each for each in patient.examine("tunnels") if each.result.status == "failed"]

    assert found.result.text == "db: refused at me@relay:22: Connection refused"
    assert found.result.remedy == "is sshd running?"
    assert (found.result.subject.tunnels, found.result.subject.hop) == (("db",), "me@relay:22")


def test_a_failure_with_a_known_cause_is_reported_once(patient: Patient) -> None:
    """A port that is taken fails the forward, and through it the tunnel."""
    busy = REFUSED.__class__("local_port_busy", "", "port 5432 is taken", "end it", REFUSED.at)
    forward = a_forward(state="failed", failure=busy)
    patient.report(a_tunnel(state="degraded", failure=busy, forwards=[forward]))

    found = [each for each in patient.examine("tunnels") if each.result.status == "failed"]

    assert [each.check.name for each in found] == ["local_ports"]


def test_tunnels_that_were_stopped_on_purpose_and_those_not_named_are_left_out(
    patient: Patient,
) -> None:
    patient.write_config(more='[tunnels.web]\nhost = "web.example.com"\n')
    patient.report(
        a_tunnel(state="stopped", wanted=False),
        a_tunnel("web", state="backoff", failure=REFUSED),
        a_tunnel("other", state="backoff", failure=REFUSED),
    )

    found = patient.examine("tunnels", names=("db",))

    assert [each.check.name for each in found if each.result.status == "failed"] == []


def test_a_key_exchange_that_is_not_post_quantum_is_worth_a_word(patient: Patient) -> None:
    old = HopSnapshot("me@old:22", connected=True, key_exchange="ecdh-x", post_quantum=False)
    new = HopSnapshot("me@new:22", connected=True, key_exchange="mlkem-x", post_quantum=True)
    away = HopSnapshot("me@away:22", connected=False)
    patient.report(a_tunnel(hops=[old, new, away]), a_tunnel("other", hops=[old]))

    [(status, text, _)] = patient.findings("key_exchange")

    assert status == "info"
    assert text == "me@old:22 uses ecdh-x, so recorded traffic may be decrypted in the future"


def test_a_control_socket_for_everyone_is_a_warning(patient: Patient) -> None:
    patient.machine.socket.parent.mkdir(mode=0o700)
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(patient.machine.socket))
        patient.machine.socket.chmod(0o666)
        [(status, text, remedy)] = patient.findings("control_socket")
        patient.machine.socket.chmod(0o600)

        assert patient.findings("control_socket") == []

    assert (status, remedy) == ("warning", f"chmod 600 {patient.machine.socket}")
    assert "has mode 0666, so other users may connect" in text


def test_a_folder_in_which_the_socket_can_be_replaced_is_a_failure(patient: Patient) -> None:
    folder = patient.machine.socket.parent
    folder.mkdir()
    folder.chmod(0o777)
    patient.machine.socket.touch(mode=0o600)

    [(status, text, remedy)] = patient.findings("control_socket")

    assert (status, remedy) == ("failed", f"chmod go-w {folder}")
    assert text.startswith("another user could replace the control socket: ")
