"""The real ssh as a client of a relay; its processes end with the test."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Self

from tests.e2e.waiting import wait_until
from tests.relay.relay_process import USER, RelayProcess

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.sandbox import Sandbox

DESTINATION = f"{USER}@127.0.0.1"
GREETING = "this relay only forwards ports"


class Ssh:
    """The ssh of one sandbox, for one relay."""

    def __init__(self, sandbox: Sandbox, relay: RelayProcess) -> None:
        self.sandbox = sandbox
        self.relay = relay
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.kill()
            process.wait()
        if self._running:
            wait_until(
                lambda: not self.relay.status()["clients"], 10, "clients are still connected"
            )

    def command(self, *arguments: str, key: Path | None = None) -> list[str]:
        command = self.sandbox.ssh(self.relay.port)
        if key is not None:
            index = command.index(f"IdentityFile={self.sandbox.key}")
            command[index] = f"IdentityFile={key}"
        return [*command, "-o", "ExitOnForwardFailure=yes", *arguments, DESTINATION]

    def tunnel(self, *arguments: str, key: Path | None = None) -> subprocess.Popen[bytes]:
        """Start ssh -N with these forwards in the background."""
        process = subprocess.Popen(
            [*self.command("-N", *arguments, key=key)], stdin=subprocess.DEVNULL
        )
        self._running.append(process)
        return process

    def run(
        self, *arguments: str, then: tuple[str, ...] = (), text: str = "", key: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ssh to its end. then: the arguments after the destination."""
        return subprocess.run(
            [*self.command(*arguments, key=key), *then],
            input=text,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
