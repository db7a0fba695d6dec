"""Units as people have them: each becomes a config that `check` accepts, with the same forwards.

What a unit runs stands in its comments, written out by hand: `# is: ssh ...`.
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
from tests.ssh_lines import answer_to, forwards_in, in_order, way_in, way_of
from tunnelkeeper.autossh.command_line import parse_ssh
from tunnelkeeper.cli.main import run
from tunnelkeeper.config import load_with_warnings
from tunnelkeeper.importing import readers
from tunnelkeeper.importing.convert import read_line
from tunnelkeeper.importing.deduplicate import deduplicate
from tunnelkeeper.importing.source_commands import ImportedTunnel, SourceCommand
from tunnelkeeper.importing.ssh_g_resolver import Resolver
from tunnelkeeper.importing.toml_text import toml_of_all
from tunnelkeeper.sshconfig import gather_facts

if TYPE_CHECKING:
    from tunnelkeeper.importing.source_commands import Finding

UNITS = Path(__file__).parent / "units"
FOUND = sorted(path.relative_to(UNITS) for path in UNITS.rglob("*.service"))
IS = "# is: ssh "

pytestmark = pytest.mark.usefixtures("ssh")
each_unit = pytest.mark.parametrize("unit", FOUND, ids=str)


class Box:
    """A machine's folders, with the units, the keys that they name, and a config file."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.system = folder / "systemd" / "system"
        self.config = folder / "tunnels.toml"
        shutil.copytree(UNITS, self.system)
        (self.system / "user").rename(folder / "systemd" / "user")
        (self.home / ".ssh").mkdir(parents=True)
        for key in (self.home / ".ssh" / "id_reverse", self.system / "key"):
            make_key(key)

    def path(self, unit: Path) -> Path:
        return self.system.parent / unit if unit.parent.name else self.system / unit

    def findings(self, unit: Path) -> list[Finding]:
        facts = replace(gather_facts(), home=str(self.home))
        return readers.unit_lines(str(self.path(unit)), facts, is_user=None)

    def imported(self, unit: Path) -> list[ImportedTunnel]:
        outcomes = deduplicate(Resolver(gather_facts(), False, False).outcomes(self.findings(unit)))
        tunnels = [each for each in outcomes if isinstance(each, ImportedTunnel)]
        assert len(tunnels) == len(outcomes), outcomes
        return tunnels

    def expected(self, unit: Path) -> list[list[str]]:
        """The words of ssh, as the comments have them."""
        text = self.path(unit).read_text()
        text = text.replace("HOME", str(self.home)).replace("FOLDER", str(self.system))
        lines = [line for line in text.splitlines() if line.startswith(IS)]
        return [shlex.split(line.removeprefix(IS)) for line in lines]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_there_are_ten_of_them() -> None:
    assert len(FOUND) == 10


@each_unit
def test_the_line_is_what_the_unit_runs(unit: Path, box: Box) -> None:
    lines = [read_line(found) for found in box.findings(unit) if isinstance(found, SourceCommand)]

    assert [line.ssh for line in lines] == [parse_ssh(words) for words in box.expected(unit)]


@each_unit
def test_check_accepts_what_is_imported(
    unit: Path, box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    box.config.write_text(toml_of_all(box.imported(unit)))

    code = run(["--config", str(box.config), "check"])

    assert (code, capsys.readouterr().err) == (0, "")


@each_unit
async def test_the_forwards_and_the_way_are_those_of_the_unit(unit: Path, box: Box) -> None:
    tunnels = await asyncio.to_thread(box.imported, unit)
    box.config.write_text(toml_of_all(tunnels))
    configuration, _ = load_with_warnings(box.config)

    for tunnel, words in zip(configuration.tunnels.values(), box.expected(unit), strict=True):
        answer = answer_to(words)
        assert in_order(tunnel.forwards) == in_order(forwards_in(answer))
        if "proxycommand" not in dict(answer):
            assert await way_of(tunnel, configuration) == way_in(answer)
