"""A server program in the foreground: its log, and the processes it forks."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

import psutil

from tests.e2e import log_files
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class ServerProcess:
    """Starts and stops one server, any number of times.

    ready: the log text that shows that it listens. Forked sessions end with it.
    """

    def __init__(self, title: str, command: Sequence[str], log: Path, ready: str) -> None:
        self.title = title
        self._command = command
        self._log = log
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None
        log_files.add(title, log)

    def start(self) -> None:
        """Run the server; return when it listens."""
        before = len(self.log())
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(
            lambda: self._ready in self.log()[before:] or self._has_ended(),
            message=f"{self.title} did not start: {self.log()[before:]}",
        )
        assert not self._has_ended(), f"{self.title} ended: {self.log()[before:]}"

    def kill(self) -> None:
        """Kill the server and its sessions at once, like a power failure."""
        if self._process is None:
            return
        processes = self._processes()
        # Suspend the server first: it could fork a session that is not in the list, or reap one.
        _apply(processes[:1], psutil.Process.suspend)
        _apply(processes[1:], psutil.Process.kill)
        self._process.kill()
        self._process.wait()
        self._process = None
        wait_until(
            lambda: not any(map(is_running, processes)), message="sessions are still running"
        )

    def suspend(self) -> None:
        """Suspend the server and its sessions; only the kernel still acknowledges data."""
        _apply(self._processes(), psutil.Process.suspend)

    def resume(self) -> None:
        """Resume the server and its sessions."""
        _apply(self._processes(), psutil.Process.resume)

    @property
    def pid(self) -> int:
        """The process ID of the running server."""
        assert self._process is not None
        return self._process.pid

    def sessions(self) -> set[int]:
        """Return the IDs of the processes that serve clients."""
        return {process.pid for process in self._processes()[1:]}

    def log(self) -> str:
        """Return the server's log since it was created."""
        return self._log.read_text(errors="backslashreplace") if self._log.exists() else ""

    def close(self) -> None:
        """Kill the server and remove its log from reports."""
        self.kill()
        log_files.remove(self._log)

    def _processes(self) -> list[psutil.Process]:
        if self._process is None or self._has_ended():
            return []
        server = psutil.Process(self._process.pid)
        return [server, *server.children(recursive=True)]

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None


def _apply(processes: Sequence[psutil.Process], action: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            action(process)


def is_running(process: psutil.Process) -> bool:
    """Return whether a process is alive and not a zombie, which holds no sockets."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
