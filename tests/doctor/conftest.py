"""A machine with a config file of its own, on which the checks of doctor run."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.control.fakes import NOON, a_tunnel
from tests.e2e.keys import make_key
from tunnelkeeper.core.diagnosis import Finding, Status
from tunnelkeeper.core.message import Message
from tunnelkeeper.core.snapshot import StatusSnapshot, SupervisorSnapshot, TunnelSnapshot
from tunnelkeeper.doctor import main
from tunnelkeeper.doctor.context import Machine
from tunnelkeeper.sshconfig import gather_facts

if TYPE_CHECKING:
    from pathlib import Path


class Patient:
    """A machine to examine. Its config file has one tunnel, db, unless it is written again."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        (self.home / ".ssh").mkdir(parents=True, mode=0o700)
        self.key = make_key(folder / "key")
        (folder / "units").mkdir()
        self.machine = Machine(
            config=folder / "tunnels.toml",
            socket=folder / "run" / "control.sock",
            state_folder=folder / "state",
            units=folder / "units",
            environment={},
            no_status=Message("no supervisor is running", "tunnelkeeper up --detach"),
            facts=replace(gather_facts(), home=str(self.home)),
            root=folder / "root",
        )
        self.write_config()

    def write_config(self, *lines: str, more: str = "") -> None:
        """Write the config file. lines: further keys of [tunnels.db]. more: further tables."""
        self.machine.config.write_text(
            f"""
[supervisor]
ssh_config = false

[defaults]
user = "me"
identity_files = "{self.key}"

[tunnels.db]
host = "relay.example.com"
{os.linesep.join(lines)}

{more}
"""
        )

    def report(self, *tunnels: TunnelSnapshot, **changes: object) -> None:
        """Let a supervisor report these tunnels. changes: fields of its snapshot."""
        plain = SupervisorSnapshot("1", 7, str(self.machine.config), NOON, 0, 0.0, 9)
        supervisor = msgspec.structs.replace(plain, **changes)
        status = StatusSnapshot(supervisor, list(tunnels or [a_tunnel()]))
        self.machine = replace(self.machine, status=status)

    def examine(self, *checks: str, names: tuple[str, ...] = ()) -> list[Finding]:
        """Run checks, and those that they depend on. None: all."""
        return main.run(self.machine, names, checks)

    def findings(self, check: str) -> list[tuple[str, str, str]]:
        """Return the status, text and remedy of each finding of a check that is not `ok`."""
        return [
            (each.result.status.value, each.result.text, each.result.remedy)
            for each in self.examine(check)
            if each.check.name == check and each.result.status is not Status.OK
        ]


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    return Patient(tmp_path)
