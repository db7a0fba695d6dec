"""A server program in the foreground: its log, and the processes it forks, ended by their ids."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

import psutil

from tests.e2e import logbook
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class ServerProcess:
    """Starts and ends one server, as often as a test wants.

    ready: the words of its log that say it listens. Sessions that it forked end with it.
    """

    def __init__(self, title: str, command: Sequence[str], log: Path, ready: str) -> None:
        self.title = title
        self._command = command
        self._log = log
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None
        logbook.keep(title, log)

    def start(self) -> None:
        """Run the server; return when it listens."""
        before = len(self.log())
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(
            lambda: self._ready in self.log()[before:] or self._has_ended(),
            complaint=f"{self.title} did not start: {self.log()[before:]}",
        )
        assert not self._has_ended(), f"{self.title} ended: {self.log()[before:]}"

    def kill(self) -> None:
        """End the server and its sessions as a power cut would, without a word to clients."""
        if self._process is None:
            return
        family = self._family()
        # Stopped first, the server can neither fork a session that is missed here nor reap one.
        _each(family[:1], psutil.Process.suspend)
        _each(family[1:], psutil.Process.kill)
        self._process.kill()
        self._process.wait()
        self._process = None
        wait_until(lambda: not any(map(runs, family)), complaint="sessions still run")

    def freeze(self) -> None:
        """Let the server and its sessions hang: the kernel still answers, they never do."""
        _each(self._family(), psutil.Process.suspend)

    def thaw(self) -> None:
        """Resume them."""
        _each(self._family(), psutil.Process.resume)

    @property
    def pid(self) -> int:
        """The id of the server's own process, which runs."""
        assert self._process is not None
        return self._process.pid

    def sessions(self) -> set[int]:
        """Return the IDs of the processes that serve clients."""
        return {process.pid for process in self._family()[1:]}

    def log(self) -> str:
        """Return the server's log since it was created."""
        return self._log.read_text(errors="backslashreplace") if self._log.exists() else ""

    def close(self) -> None:
        """End what still runs; its log is not of interest any more."""
        self.kill()
        logbook.forget(self._log)

    def _family(self) -> list[psutil.Process]:
        if self._process is None or self._has_ended():
            return []
        server = psutil.Process(self._process.pid)
        return [server, *server.children(recursive=True)]

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None


def _each(processes: Sequence[psutil.Process], act: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            act(process)


def runs(process: psutil.Process) -> bool:
    """Whether it still holds its sockets: a zombie holds none."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
