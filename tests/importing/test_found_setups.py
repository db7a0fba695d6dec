"""The search for setups, in a folder that stands for the root of a machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.importing import readers
from tunnelkeeper.importing.found_setups import (
    Machine,
    find_crontab_commands,
    find_running_autossh,
    find_ssh_config_hosts,
    find_unit_commands,
)
from tunnelkeeper.importing.source_commands import NotImportable, SourceCommand, UnreadableError
from tunnelkeeper.sshconfig import gather_facts

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.importing.source_commands import Finding

UNIT = "[Service]\nExecStart=/usr/bin/autossh -M 0 -N -D {} relay\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(gather_facts(), tmp_path / "home" / "systemd" / "user", tmp_path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def arguments(found: list[Finding]) -> list[str]:
    return [" ".join(each.command.arguments) for each in found if isinstance(each, SourceCommand)]


def test_units_of_the_system_and_of_the_user_are_found(machine: Machine) -> None:
    system = machine.root / "etc/systemd/system"
    write(system / "a.service", UNIT.format("1"))
    write(system / "web.service", "[Service]\nExecStart=/bin/true\n")
    write(system / "port@.service", UNIT.format("%i"))
    wants = system / "multi-user.target.wants"
    wants.mkdir()
    (wants / "port@3.service").symlink_to(system / "port@.service")
    (wants / "a.service").symlink_to(system / "a.service")
    (system / "alias.service").symlink_to("a.service")
    write(machine.user_units / "b.service", UNIT.format("2"))

    found = find_unit_commands(machine)

    assert [each.rpartition("-D ")[2] for each in arguments(found)] == [
        "1 relay",
        "3 relay",
        "2 relay",
    ]
    assert not [each for each in found if isinstance(each, NotImportable)]


def test_a_unit_of_autossh_that_others_can_write_is_reported(machine: Machine) -> None:
    path = machine.user_units / "a.service"
    write(path, UNIT.format("1"))
    path.chmod(0o666)

    [found] = find_unit_commands(machine)

    assert isinstance(found, NotImportable)
    assert "can be written by others" in found.reason


def test_crontabs_of_the_user_and_of_the_system_are_found(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = readers.read_crontab_commands

    def fake(file: str | None, *rest: object, **options: object) -> list[Finding]:
        if file is None:
            raise UnreadableError("crontab is not installed")
        return read(file, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(readers, "read_crontab_commands", fake)
    write(machine.root / "etc/cron.d/tunnels", "@reboot autossh -M 0 -f -N -D 1 relay\n")
    write(machine.root / "etc/cron.d/other", "@reboot /bin/true\n")

    assert arguments(find_crontab_commands(machine)) == ["-M 0 -f -N -D 1 relay"]


def test_running_autossh_is_found_with_its_variables(machine: Machine) -> None:
    for pid, line in (
        (7, "/usr/lib/autossh/autossh\0-M\0000\0-N\0relay\0"),
        (8, "sshd\0-D\0"),
        (9, ""),
    ):
        folder = machine.root / "proc" / str(pid)
        write(folder / "cmdline", line)
        write(folder / "environ", "AUTOSSH_POLL=9\0SECRET=x\0")
        (folder / "cwd").symlink_to("/srv")
    (machine.root / "proc" / "10").mkdir()

    [found] = find_running_autossh(machine)

    assert isinstance(found, SourceCommand)
    assert found.command.arguments == ("-M", "0", "-N", "relay")
    assert found.command.environment == {"AUTOSSH_POLL": "9"}
    assert (found.origin, found.working_directory) == ("running process 7", "/srv")


def test_processes_of_other_users_are_left_out(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(machine.root / "proc" / "7" / "cmdline", "autossh\0relay\0")
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)

    assert find_running_autossh(machine) == []


def test_hosts_of_ssh_config_are_found_and_a_missing_file_has_none(machine: Machine) -> None:
    path = machine.root / "ssh_config"
    write(path, "Host a b\nHost *.c\n")

    assert arguments(find_ssh_config_hosts(str(path), machine)) == ["-N -- a", "-N -- b"]
    assert find_ssh_config_hosts(str(machine.root / "none"), machine) == []


def test_an_empty_machine_has_nothing(machine: Machine) -> None:
    assert (find_unit_commands(machine), find_running_autossh(machine)) == ([], [])
