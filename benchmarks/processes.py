"""Child processes: started, waited for, and ended by id, never by name."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

SYSTEM_DIRECTORIES = (
    "/usr/sbin",
    "/sbin",
    "/usr/local/sbin",
)  # of sshd, often not on PATH
PACKAGES = {
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "autossh": "autossh",
}
"""The required programs and their Debian packages."""

ENDS_WITHIN = 10.0  # seconds between SIGTERM and SIGKILL


class BenchmarkError(Exception):
    """Raised when the benchmarks cannot continue; the message says why and what to do."""


def program(name: str) -> str:
    """Return the path of a program; raise BenchmarkError if it is not installed."""
    found = _find(name)
    if found is None:
        raise BenchmarkError(f"{name} is not installed (Debian: apt-get install {PACKAGES[name]})")
    return found


def missing_programs() -> list[str]:
    """Return the programs of PACKAGES that are not installed."""
    return [name for name in PACKAGES if _find(name) is None]


def run(
    *command: str, environment: Mapping[str, str] | None = None, codes: tuple[int, ...] = (0,)
) -> str:
    """Run a command and return its output; raise BenchmarkError for an unexpected exit code."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        raise BenchmarkError(
            f"{' '.join(command)} exited with {done.returncode}: {done.stderr.strip()}"
        )
    return done.stdout


def spawn(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program in the background with its output in the log.

    It has its own session, so that Ctrl-C reaches only the benchmarks, which then end it.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


@contextmanager
def ended(programs: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Terminate the programs and their descendants at the end of the block."""
    try:
        yield
    finally:
        relatives = []
        for pid in family(each.pid for each in programs):
            with suppress(psutil.NoSuchProcess):
                relatives.append(psutil.Process(pid))
        for each in programs:
            each.terminate()
        _, alive = psutil.wait_procs(relatives, timeout=ENDS_WITHIN)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for each in programs:
            each.wait()


@contextmanager
def kill_leftovers() -> Iterator[None]:
    """Kill all remaining child processes at the end of the block.

    An interrupt may arrive after a process has started and before it is recorded.
    """
    try:
        yield
    finally:
        strays = psutil.Process().children(recursive=True)
        for stray in strays:
            with suppress(psutil.NoSuchProcess):
                stray.kill()
        psutil.wait_procs(strays, timeout=ENDS_WITHIN)


def family(pids: Iterable[int]) -> list[int]:
    """Return the ids of the running processes and all their descendants."""
    parents = {
        process.pid: process.info["ppid"]
        for process in psutil.process_iter(["ppid", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE
    }
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    ahead = [pid for pid in pids if pid in parents]
    while ahead:
        found.append(here := ahead.pop())
        ahead += children.get(here, [])
    return found


def wait_until(condition: Callable[[], bool], within: float, what: str) -> None:
    """Poll a condition; raise BenchmarkError, with `what`, after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{what}: not within {within:.0f} s")
        time.sleep(0.02)


def is_listening(port: int, address: str = "127.0.0.1") -> bool:
    """Return whether a local port accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


_used: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Return free TCP ports of 127.0.0.1, each at most once in a run.

    They are below the range from which Linux chooses ports for outgoing connections.
    Raises BenchmarkError if too few ports are free.
    """
    found: list[int] = []
    for port in random.sample(range(10_000, 32_000), k=22_000):
        if len(found) == count:
            return found
        if port not in _used and _is_free(port):
            _used.add(port)
            found.append(port)
    raise BenchmarkError(f"found only {len(found)} of {count} free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _find(name: str) -> str | None:
    candidates = (
        shutil.which(name),
        *(shutil.which(f"{folder}/{name}") for folder in SYSTEM_DIRECTORIES),
    )
    return next(filter(None, candidates), None)
