"""Typical units: each is imported as a config that `check` accepts, with the same forwards.

The comments of each unit contain the expected command, written by hand: `# is: ssh ...`.
"""

from __future__ import annotations

import asyncio
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.keys import make_key
from tests.ssh_lines import answer_to, forwards_in, hosts_in, hosts_of, in_order
from tunnelkeeper.autossh.command_line import parse_ssh
from tunnelkeeper.cli.main import run
from tunnelkeeper.config import load_with_warnings
from tunnelkeeper.importing import readers
from tunnelkeeper.importing.convert import parse_command
from tunnelkeeper.importing.deduplicate import deduplicate
from tunnelkeeper.importing.source_commands import ImportedTunnel, SourceCommand
from tunnelkeeper.importing.ssh_g_resolver import Resolver
from tunnelkeeper.importing.toml_text import format_tunnels
from tunnelkeeper.sshconfig import gather_facts

if TYPE_CHECKING:
    from tunnelkeeper.importing.source_commands import Finding

UNITS = Path(__file__).parent / "units"
UNIT_FILES = sorted(path.relative_to(UNITS) for path in UNITS.rglob("*.service"))
EXPECTED = "# is: ssh "

pytestmark = pytest.mark.usefixtures("ssh")
each_unit = pytest.mark.parametrize("unit", UNIT_FILES, ids=str)


class Machine:
    """The directories of a machine with the units, their keys and a config file."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "home"
        self.system = directory / "systemd" / "system"
        self.config = directory / "tunnels.toml"
        shutil.copytree(UNITS, self.system)
        (self.system / "user").rename(directory / "systemd" / "user")
        (self.home / ".ssh").mkdir(parents=True)
        for key in (self.home / ".ssh" / "id_reverse", self.system / "key"):
            make_key(key)

    def path(self, unit: Path) -> Path:
        return self.system.parent / unit if unit.parent.name else self.system / unit

    def findings(self, unit: Path) -> list[Finding]:
        facts = replace(gather_facts(), home=str(self.home))
        return readers.read_unit_commands(str(self.path(unit)), facts, is_user=None)

    def import_unit(self, unit: Path) -> list[ImportedTunnel]:
        outcomes = deduplicate(Resolver(gather_facts(), False, False).resolve(self.findings(unit)))
        tunnels = [outcome for outcome in outcomes if isinstance(outcome, ImportedTunnel)]
        assert len(tunnels) == len(outcomes), outcomes
        return tunnels

    def expected(self, unit: Path) -> list[list[str]]:
        """Return the ssh arguments in the comments of a unit."""
        text = self.path(unit).read_text()
        text = text.replace("HOME", str(self.home)).replace("FOLDER", str(self.system))
        lines = [line for line in text.splitlines() if line.startswith(EXPECTED)]
        return [shlex.split(line.removeprefix(EXPECTED)) for line in lines]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_there_are_ten_units() -> None:
    assert len(UNIT_FILES) == 10


@each_unit
def test_the_parsed_command_is_what_the_unit_runs(unit: Path, machine: Machine) -> None:
    lines = [
        parse_command(finding)
        for finding in machine.findings(unit)
        if isinstance(finding, SourceCommand)
    ]

    assert [line.ssh for line in lines] == [parse_ssh(words) for words in machine.expected(unit)]


@each_unit
def test_check_accepts_the_imported_tunnels(
    unit: Path, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.config.write_text(format_tunnels(machine.import_unit(unit)))

    code = run(["--config", str(machine.config), "check"])

    assert (code, capsys.readouterr().err) == (0, "")


@each_unit
async def test_the_forwards_and_the_hosts_are_those_of_the_unit(
    unit: Path, machine: Machine
) -> None:
    tunnels = await asyncio.to_thread(machine.import_unit, unit)
    machine.config.write_text(format_tunnels(tunnels))
    configuration, _ = load_with_warnings(machine.config)

    for tunnel, words in zip(configuration.tunnels.values(), machine.expected(unit), strict=True):
        answer = answer_to(words)
        assert in_order(tunnel.forwards) == in_order(forwards_in(answer))
        if "proxycommand" not in dict(answer):
            assert await hosts_of(tunnel, configuration) == hosts_in(answer)
