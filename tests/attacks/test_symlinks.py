"""Links that another user plants in /tmp to have a file of this user overwritten.

Each program writes a file whose name is easy to guess. The link leads to a file of the victim.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from asyncssh.packet import String

from tests.requirements import require, require_root
from tunnelkeeper.cli import background
from tunnelkeeper.net.file_creation import PlantedFileError
from tunnelkeeper.net.line_writer import close_all
from tunnelkeeper.oneshot.autossh.log import open_file
from tunnelkeeper.ssh.auth.known_hosts_file import append_host_key

if TYPE_CHECKING:
    from pathlib import Path

ATTACKER = 65534
PRECIOUS = "what the victim must not lose\n"
TIMEOUT = 30
PROGRAM = "from tunnelkeeper.cli.autossh import main; main()"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Return a file that only the victim can write to."""
    require_root()
    path = tmp_path / "victim"
    path.write_text(PRECIOUS)
    path.chmod(0o600)
    return path


@pytest.fixture
def planted(tmp_path: Path, victim: Path) -> Path:
    """Return the name of the attacker's link to the victim's file, in a folder like /tmp."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    link = shared / "name"
    link.symlink_to(victim)
    os.lchown(link, ATTACKER, ATTACKER)
    return link


def run_autossh(
    *options: str, **environment: str | os.PathLike[str]
) -> subprocess.CompletedProcess[str]:
    """Run a command line that must end before it connects."""
    require("ssh")
    command = [sys.executable, "-c", PROGRAM, "-M", "0"]
    target = ("-F", "none", "-N", "-p", "9", "127.0.0.1")
    return subprocess.run(
        [*command, *options, *target],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@pytest.mark.parametrize("variable", ["AUTOSSH_PIDFILE", "AUTOSSH_LOGFILE"])
def test_autossh_does_not_write_through_a_planted_link(
    planted: Path, victim: Path, variable: str
) -> None:
    ended = run_autossh(**{variable: planted})

    assert victim.read_text() == PRECIOUS
    assert planted.is_symlink()
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"autossh: {planted}: a symbolic link of nobody (uid 65534)")


def test_messages_of_ssh_are_not_written_through_a_planted_link(
    planted: Path, victim: Path
) -> None:
    ended = run_autossh("-E", str(planted))

    assert victim.read_text() == PRECIOUS
    assert ended.returncode == 1
    assert f"{planted}: a symbolic link of nobody" in ended.stderr


def test_the_log_of_a_supervisor_in_the_background_is_not_written_through_a_planted_link(
    planted: Path, victim: Path
) -> None:
    with pytest.raises(PlantedFileError, match="is not followed"):
        background.start([sys.executable, "-c", "print('overwritten')"], planted)

    assert victim.read_text() == PRECIOUS


def test_a_host_key_is_not_written_through_a_planted_link(planted: Path, victim: Path) -> None:
    algorithm = "ssh-ed25519"
    blob = String(algorithm) + String(bytes(32))

    with pytest.raises(PlantedFileError, match="is not followed"):
        append_host_key(str(planted), "host", algorithm, blob, False)

    assert victim.read_text() == PRECIOUS


def test_a_log_in_a_folder_of_the_user_is_written_through_its_link(
    tmp_path: Path, victim: Path
) -> None:
    (tmp_path / "log").symlink_to(victim)

    write_log(tmp_path / "log")

    assert victim.read_text() == f"{PRECIOUS}line\n"


def test_a_new_log_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    write_log(tmp_path / "log")

    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def write_log(path: Path) -> None:
    writer = open_file(str(path), str)
    writer.write("line\n")
    close_all({writer})
