"""Files of another user that name programs to run. Reading such a file must run none of them.

The victim is root, who imports or uses what the attacker wrote. A file appears if a program ran.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import Tool, tool
from tests.requirements import require_root
from tunnelkeeper.ssh.ssh_config_fallback import FallbackQuery
from tunnelkeeper.sshconfig import Request, SshConfigError, gather_facts

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["tool"]

pytestmark = pytest.mark.usefixtures("ssh")

ATTACKER = 65534
OWNER = "nobody (uid 65534)"


@dataclass(frozen=True)
class Trap:
    """Files in a folder like /tmp. proof: exists if a program of the attacker was run."""

    folder: Path
    proof: Path

    def write(self, name: str, text: str, owner: int = 0) -> Path:
        path = self.folder / name
        path.write_text(text)
        os.chown(path, owner, owner)
        return path

    def ssh_config(self, owner: int = ATTACKER) -> Path:
        """Write an ssh_config that runs a program when a host is looked up."""
        return self.write("config", f'Match exec "touch {self.proof}"\n  User mallory\n', owner)

    def crontab(self, config: Path, owner: int) -> Path:
        line = f"@reboot autossh -M 0 -N -F {config} -L 8080:localhost:80 relay\n"
        return self.write("crontab", line, owner)


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    require_root()
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    return Trap(folder, tmp_path / "proof")


def test_a_crontab_of_another_user_is_not_imported(tool: Tool, trap: Trap) -> None:
    crontab = trap.crontab(trap.ssh_config(), ATTACKER)

    done = tool("import", "crontab", str(crontab))

    assert done.code == 1
    assert done.err.startswith(f"tunnelkeeper: {crontab} belongs to {OWNER}")
    assert "--trust" in done.err
    assert not trap.proof.exists()


def test_a_crontab_that_names_a_file_of_another_user_is_not_imported(
    tool: Tool, trap: Trap
) -> None:
    config = trap.ssh_config()

    done = tool("import", "crontab", str(trap.crontab(config, 0)))

    assert (done.code, done.out) == (1, "")
    assert f"{config} belongs to {OWNER}, and ssh_config can run programs" in done.err
    assert "--trust" in done.err
    assert not trap.proof.exists()


def test_a_file_is_imported_with_trust(tool: Tool, trap: Trap) -> None:
    done = tool("import", "crontab", "--trust", str(trap.crontab(trap.ssh_config(), ATTACKER)))

    assert done.code == 0
    assert 'user = "mallory"' in done.out
    assert trap.proof.exists()


def test_a_file_that_others_can_write_is_not_imported(tool: Tool, trap: Trap) -> None:
    config = trap.ssh_config(owner=0)
    config.chmod(0o666)

    done = tool("import", "ssh", "--", "-N", "-F", str(config), "-D", "1080", "relay")

    assert done.code == 1
    assert f"{config} can be written by others (mode 0666)" in done.err
    assert not trap.proof.exists()


def test_an_included_file_of_another_user_is_not_read(tool: Tool, trap: Trap) -> None:
    evil = trap.ssh_config()
    config = trap.write("outer", f"Include {evil}\n")

    done = tool("import", "ssh", "--", "-N", "-F", str(config), "-D", "1080", "relay")

    assert done.code == 1
    assert f"{evil} belongs to {OWNER}" in done.err
    assert not trap.proof.exists()


def test_a_file_that_another_user_can_replace_is_not_imported(tool: Tool, trap: Trap) -> None:
    crontab = trap.crontab(trap.ssh_config(owner=0), 0)
    os.chown(trap.folder, ATTACKER, ATTACKER)

    done = tool("import", "crontab", str(crontab))

    assert done.code == 1
    assert f"{trap.folder} belongs to {OWNER}" in done.err
    assert not trap.proof.exists()


def test_a_unit_of_another_user_is_not_imported(tool: Tool, trap: Trap) -> None:
    start = f"ExecStart=/usr/bin/ssh -N -F {trap.ssh_config()} -D 1080 relay\n"
    unit = trap.write("evil.service", f"[Service]\n{start}", ATTACKER)

    done = tool("import", "unit", str(unit))

    assert done.code == 1
    assert f"{unit} belongs to {OWNER}" in done.err
    assert not trap.proof.exists()


def test_an_environment_file_of_another_user_does_not_reach_the_config_file(
    tool: Tool, trap: Trap
) -> None:
    options = trap.write("env", f"OPTIONS=-oProxyCommand=touch\\ {trap.proof}\n", ATTACKER)
    service = f"EnvironmentFile={options}\nExecStart=/usr/bin/ssh -N $OPTIONS -D 1080 relay\n"
    unit = trap.write("mine.service", f"[Service]\n{service}")

    done = tool("import", "unit", "--write", str(unit))

    assert done.code == 1
    assert f"{options} belongs to {OWNER}" in done.err
    assert not tool.config.exists()


def test_a_config_file_does_not_use_an_ssh_config_of_another_user(tool: Tool, trap: Trap) -> None:
    config = trap.ssh_config()
    tool.config.write_text(
        f'[supervisor]\nssh_config = "{config}"\n[tunnels.t]\nhost = "relay"\nsocks = [1080]\n'
    )

    done = tool("check")

    assert done.code == 2
    assert f"{config} belongs to {OWNER}" in done.err
    assert not trap.proof.exists()


@pytest.mark.parametrize("is_included", [False, True])
async def test_without_ssh_a_file_of_another_user_is_not_read(
    trap: Trap, is_included: bool
) -> None:
    home = trap.folder.parent
    config = trap.ssh_config()
    (home / ".ssh").mkdir()
    text = f"Include {config}\n" if is_included else config.read_text()
    (home / ".ssh" / "config").write_text(text)
    if not is_included:
        os.chown(home / ".ssh" / "config", ATTACKER, ATTACKER)
    facts = replace(gather_facts(), home=str(home))

    with pytest.raises(SshConfigError, match=r"belongs to nobody \(uid 65534\)"):
        await FallbackQuery(facts)(Request("relay"))

    assert not trap.proof.exists()
