"""Checks of local ports, and of other programs with the same forwards."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from typing import TYPE_CHECKING

from tests.control.fakes import a_forward, a_tunnel
from tests.e2e.ports import free_port
from tunnelkeeper.core.snapshot import FailureSnapshot

if TYPE_CHECKING:
    from pathlib import Path

    from tests.doctor.conftest import Patient

AUTOSSH_UNIT = """
[Service]
ExecStart=/usr/bin/autossh -M 0 -N {forward} me@relay.example.com
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_free_ports_have_no_findings_and_stay_free(patient: Patient) -> None:
    port = free_port()
    patient.write_config(f'local = "{port}:db:5432"', f'remote = "{port}:localhost:22"')

    assert patient.findings("local_ports") == []
    assert patient.findings("other_programs") == []
    with closing(socket.create_server(("127.0.0.1", port))):
        pass


def test_a_port_that_another_program_holds_is_a_failure_that_names_it(patient: Patient) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        patient.write_config(f'socks = "{port}"')

        [(status, text, _)] = patient.findings("local_ports")

    assert status == "failed"
    assert text.startswith(f"db: cannot listen on localhost:{port}: port {port} is taken")
    assert f"(pid {os.getpid()})" in text


def test_the_ports_of_a_running_supervisor_are_not_tried(patient: Patient) -> None:
    failure = FailureSnapshot("local_port_busy", "", "port 5432 is taken", "end it", "")
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        patient.write_config(f'local = "{server.getsockname()[1]}:db:5432"')
        patient.report(a_tunnel())
        assert patient.findings("local_ports") == []

        patient.report(a_tunnel(forwards=[a_forward(state="failed", failure=failure)]))

        assert patient.findings("local_ports") == [("failed", "db: port 5432 is taken", "end it")]


def test_a_unit_that_listens_on_the_same_port_is_a_warning(patient: Patient) -> None:
    patient.write_config('local = "127.0.0.1:5432:db:5432"')
    unit = patient.machine.units / "autossh-db.service"
    write(unit, AUTOSSH_UNIT.format(forward="-L 5432:other:5432"))

    [(status, text, remedy)] = patient.findings("other_programs")

    assert status == "warning"
    assert text == (
        f"autossh-db.service ({unit}) makes the forward localhost:5432:other:5432 of db too"
    )
    assert remedy.endswith("disable --now autossh-db.service")


def test_a_unit_with_another_port_or_the_same_remote_port_elsewhere_is_none(
    patient: Patient,
) -> None:
    patient.write_config('remote = "2222:localhost:22"')
    folder = patient.machine.units
    write(folder / "a.service", AUTOSSH_UNIT.format(forward="-R 2223:localhost:22"))
    elsewhere = AUTOSSH_UNIT.replace("relay.example.com", "other.example.com")
    write(folder / "b.service", elsewhere.format(forward="-R 2222:localhost:22"))

    assert patient.findings("other_programs") == []


def test_a_crontab_with_the_same_remote_port_on_the_same_host_is_a_warning(
    patient: Patient,
) -> None:
    patient.write_config('remote = "2222:localhost:22"')
    line = "@reboot autossh -M 0 -f -N -R 2222:localhost:2200 relay.example.com\n"
    crontab = patient.machine.root / "etc/cron.d/tunnels"
    write(crontab, line)

    [(status, _, remedy)] = patient.findings("other_programs")

    assert (status, remedy) == ("warning", f"remove the line: {crontab}, line 1")


def test_a_running_autossh_is_ended_by_its_process_and_its_ssh_is_not_counted(
    patient: Patient,
) -> None:
    patient.write_config('local = "5432:db:5432"')
    arguments = "-N\0-L\0005432:db:5432\0relay\0"
    for pid, line in ((7, f"autossh\0-M\0000\0{arguments}"), (8, f"/usr/bin/ssh\0{arguments}")):
        folder = patient.machine.root / "proc" / str(pid)
        write(folder / "cmdline", line)
        write(folder / "environ", "")
        (folder / "cwd").symlink_to("/")

    found = patient.findings("other_programs")

    assert [(status, remedy) for status, _, remedy in found] == [("warning", "kill 7")]


def test_an_ssh_in_the_background_is_found(patient: Patient) -> None:
    patient.write_config('socks = "1080"')
    folder = patient.machine.root / "proc" / "9"
    write(folder / "cmdline", "ssh\0-f\0-N\0-D\0001080\0relay\0")
    write(folder / "environ", "")
    (folder / "cwd").symlink_to("/")

    [(_, text, remedy)] = patient.findings("other_programs")

    assert text == "running process 9 makes the forward localhost:1080 of db too"
    assert remedy == "kill 9"
