"""The lock that allows one supervisor per control socket."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.control.unix_socket import AlreadyRunningError, acquire_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLD_LOCK_UNTIL_EOF = """
import sys
from pathlib import Path
from tunnelkeeper.control.unix_socket import acquire_lock
acquire_lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock.lock"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start another process that holds the lock until EOF on its stdin."""
    command = [sys.executable, "-c", HOLD_LOCK_UNTIL_EOF, str(path)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_lock_file_contains_the_pid_and_has_mode_0600(path: Path) -> None:
    path.write_text("a much longer line from some time ago\n")
    path.chmod(0o600)

    descriptor = acquire_lock(path)

    assert path.read_text() == f"{os.getpid()}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def test_a_second_process_is_refused_and_changes_nothing(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    before = path.read_text()

    with pytest.raises(AlreadyRunningError, match=r"control\.sock\.lock"):
        acquire_lock(path)

    assert path.read_text() == before == f"{holder.pid}\n"


def test_killing_the_holder_releases_the_lock(path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()

    os.close(acquire_lock(path))

    assert path.exists(), "another supervisor may be acquiring it"


def test_a_symbolic_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.symlink_to(victim)

    with pytest.raises(OSError, match="symbolic"):
        acquire_lock(path)

    assert victim.read_text() == "precious"


def test_a_lock_file_that_cannot_be_written_is_unlocked(path: Path) -> None:
    os.mkfifo(path)  # a FIFO can be locked but not truncated

    with pytest.raises(OSError, match="Invalid argument"):
        acquire_lock(path)
    path.unlink()

    os.close(acquire_lock(path))
