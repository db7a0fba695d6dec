"""Another process of the same user, or a crash, that is after the keys in a process's memory.

The victim is a process without privileges: root may read everything.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import psutil
import pytest

from tests.e2e.program import Program
from tests.relay.relay_process import RelayProcess
from tests.requirements import require_root
from tunnelkeeper.daemon.counter_publisher import ProcessStatsReader
from tunnelkeeper.net.core_dumps import disable_core_dumps

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.sandbox import Sandbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is of Linux")

NOBODY = 65534
PTRACE_ATTACH = 16  # ptrace(2)


def in_child(act: Callable[[], None]) -> int:
    """Run something in a forked process; return its wait status. 0 is success."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, if there are threads
        child = os.fork()
    if child == 0:
        _act_and_exit(act)
    return os.waitpid(child, 0)[1]


def _act_and_exit(act: Callable[[], None]) -> NoReturn:
    try:
        act()
    except BaseException as error:  # noqa: BLE001  the child must not return into pytest
        os.write(2, f"{error!r}\n".encode())
        os._exit(1)
    os._exit(0)


def become_a_plain_user() -> None:
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as after execve(2)


def is_open_to_its_user() -> bool:
    """Return whether another process of this user can read the memory of this one."""
    victim = os.getpid()

    def attack() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            os.close(os.open(f"/proc/{victim}/mem", os.O_RDONLY))
        except PermissionError:
            assert libc.ptrace(PTRACE_ATTACH, victim, None, None) == -1
            assert ctypes.get_errno() == errno.EPERM
            os._exit(0)
        os._exit(7)

    return os.waitstatus_to_exitcode(in_child(attack)) == 7


def test_another_process_of_the_user_cannot_read_the_memory() -> None:
    require_root()

    def victim() -> None:
        become_a_plain_user()
        assert is_open_to_its_user()
        disable_core_dumps()
        assert not is_open_to_its_user()

    assert in_child(victim) == 0


def test_a_crash_leaves_no_core(tmp_path: Path) -> None:
    def crash(protect: bool) -> None:
        os.chdir(tmp_path)
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        if protect:
            disable_core_dumps()
        signal.signal(signal.SIGABRT, signal.SIG_DFL)
        os.abort()

    status = in_child(lambda: crash(protect=True))

    assert os.WTERMSIG(status) == signal.SIGABRT
    assert not os.WCOREDUMP(status)
    assert list(tmp_path.iterdir()) == []


def test_the_process_can_still_measure_itself() -> None:
    """`status` shows memory and descriptors, and process holders read /proc, as a plain user."""
    require_root()

    def victim() -> None:
        become_a_plain_user()
        disable_core_dumps()
        stats = ProcessStatsReader().read()
        assert stats.memory_bytes > 0
        assert stats.open_files > 2
        assert list(Path("/proc/self/fd").iterdir())

        def other() -> None:
            process = psutil.Process(os.getppid())
            assert process.name()
            assert process.status() != psutil.STATUS_ZOMBIE
            Path(f"/proc/{os.getppid()}/cgroup").read_text()

        assert in_child(other) == 0

    assert in_child(victim) == 0


def core_limit(pid: int) -> tuple[int, int]:
    return psutil.Process(pid).rlimit(psutil.RLIMIT_CORE)


def test_the_supervisor_has_no_core_dumps_in_the_background_either(tmp_path: Path) -> None:
    program = Program(tmp_path, "[tunnels.t]\nhost = 'h'\nautostart = false\n")
    try:
        assert core_limit(program.up().pid) == (0, 0)
        program.stop()

        program.succeed("up", "--detach")
        assert core_limit(program.status().supervisor.pid) == (0, 0)
    finally:
        program.close()


def test_the_relay_has_no_core_dumps(sandbox: Sandbox) -> None:
    relay = RelayProcess(sandbox.subdirectory("r"), sandbox.authorized_keys)
    try:
        relay.start()
        assert core_limit(relay.pid) == (0, 0)
    finally:
        relay.close()
