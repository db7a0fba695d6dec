"""Starts programs, waits for what they bring about, and ends them by id, never by name."""

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
)  # where sshd lives, often not on PATH
PACKAGES = {
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "autossh": "autossh",
}
"""Every program that is needed, and Debian's package of it."""

ENDS_WITHIN = 10.0  # seconds that a program has to end in before it is killed


class Unable(Exception):
    """The benchmarks cannot go on; the message says why and what to do."""


def program(name: str) -> str:
    """The path of a program. Raises Unable where it is not installed."""
    found = _find(name)
    if found is None:
        raise Unable(f"{name} is not installed (Debian: apt-get install {PACKAGES[name]})")
    return found


def missing_programs() -> list[str]:
    """Those of PACKAGES that are not installed."""
    return [name for name in PACKAGES if _find(name) is None]


def run(
    *command: str, environment: Mapping[str, str] | None = None, codes: tuple[int, ...] = (0,)
) -> str:
    """What a command prints. Raises Unable when its exit code is none of these."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        raise Unable(f"{' '.join(command)} exited with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def spawn(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """A program in the background, its output in the log.

    In a session of its own: Ctrl-C reaches the benchmarks alone, which then end it in order.
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
    """End programs that we started when the block is left, and all that they have started."""
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
def no_strays() -> Iterator[None]:
    """End what is still a child of ours when the block is left.

    An interrupt may come after a process was started and before anybody has taken note of it.
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
    """The ids of these processes and of all their descendants that run now."""
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
    """Look until it is so. Raises Unable with `what` when it is not within so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise Unable(f"{what}: not so within {within:.0f} s")
        time.sleep(0.02)


def listens(port: int, address: str = "127.0.0.1") -> bool:
    """Whether somebody accepts connections on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """TCP ports of 127.0.0.1 that nobody holds, none of them given twice in a run.

    They lie below the range that Linux draws the ports of outgoing connections from.
    Raises Unable when there are not that many.
    """
    found: list[int] = []
    for port in random.sample(range(10_000, 32_000), k=22_000):
        if len(found) == count:
            return found
        if port not in _given and _is_free(port):
            _given.add(port)
            found.append(port)
    raise Unable(f"found only {len(found)} of {count} free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _find(name: str) -> str | None:
    places = (
        shutil.which(name),
        *(shutil.which(f"{place}/{name}") for place in SYSTEM_DIRECTORIES),
    )
    return next(filter(None, places), None)
