"""A real ssh-agent with keys of a test."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.e2e.server_process import ServerProcess
from tests.e2e.waiting import wait_until
from tests.requirements import require

if TYPE_CHECKING:
    from pathlib import Path


class Agent(ServerProcess):
    """An ssh-agent on a socket of its own."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "agent.sock"
        command = [require("ssh-agent"), "-D", "-a", str(self.socket)]
        super().__init__("ssh-agent", command, directory / "agent.log", "SSH_AUTH_SOCK")

    def start(self) -> None:
        """Start the agent; return when its socket exists."""
        super().start()
        wait_until(self.socket.exists)

    def add(self, key: Path, *options: str) -> None:
        """Add a private key; the certificate beside it is added, too."""
        self._ssh_add(*options, str(key))

    def remove_plain(self, key: Path) -> None:
        """Remove a key; its certificate stays and can still sign."""
        self._ssh_add("-k", "-d", str(key))

    def list(self) -> str:
        """Return the lines of `ssh-add -l`."""
        return self._ssh_add("-l")

    def _ssh_add(self, *arguments: str) -> str:
        return subprocess.run(
            [require("ssh-add"), "-q", *arguments],
            env={"SSH_AUTH_SOCK": str(self.socket)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
