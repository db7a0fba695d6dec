"""The demo's processes: relays and a supervisor, started as a user would start them.

No process outlives the context manager.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tunnelkeeper.demo.files import LOOPBACK

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from tunnelkeeper.demo.files import DemoFiles

START_TIMEOUT = 20.0
STOP_TIMEOUT = 6.0
POLL_INTERVAL = 0.05


class DemoError(Exception):
    """The demo cannot run. The message says why."""


@dataclass(slots=True)
class Processes:
    """The running processes of one demo. Leaving the context stops them all."""

    files: DemoFiles
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # In reverse order, the supervisor stops while the relays still run.
        for name in reversed(self._running):
            self._stop(self._running[name])

    def start_relays(self) -> None:
        """Start both relays and wait until they listen.

        Raises DemoError if one does not.
        """
        for name in ("inner", "relay"):
            self.start_relay(name)

    def start_relay(self, name: str) -> None:
        """Start or restart one relay and wait until it listens.

        Raises DemoError if it does not.
        """
        config = str(self.files.relay_config_path(name))
        as_root = ["--user", "root"] if os.geteuid() == 0 else []
        self._start(name, ["relay", "serve", "--config", config, *as_root])
        self._wait_until_listening(name, getattr(self.files.ports, name))

    def kill_relay(self) -> None:
        """Kill the relay without a clean shutdown, like a power failure."""
        relay = self._running["relay"]
        relay.kill()
        relay.wait()

    def start_supervisor(self) -> None:
        """Start the supervisor without waiting for its control socket."""
        stage = self.files
        options = ["--config", str(stage.config_path), "--socket", str(stage.socket_path)]
        self._start("supervisor", [*options, "up"])

    def log_path(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.files.directory / f"{name}.log"

    def check_alive(self) -> None:
        """Raise DemoError if a process has exited."""
        for name, process in self._running.items():
            if process.poll() is not None:
                last_lines = (
                    self.log_path(name).read_text("utf-8", "replace").strip().splitlines()[-3:]
                )
                raise DemoError(f"{name} has ended: {' / '.join(last_lines) or 'no output'}")

    def _start(self, name: str, arguments: list[str]) -> None:
        with self.log_path(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "tunnelkeeper", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # The demo handles Ctrl-C itself and stops the processes in its own order.
                start_new_session=True,
                env=self._environment(),
            )

    def _environment(self) -> dict[str, str]:
        """Return an environment without the user's own configuration."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("XDG_", "TUNNELKEEPER_"))
        }
        directory = str(self.files.directory)
        return inherited | {
            "XDG_RUNTIME_DIR": directory,
            "XDG_STATE_HOME": directory,
            "XDG_CONFIG_HOME": directory,
        }

    def _wait_until_listening(self, name: str, port: int) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            self.check_alive()
            with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
                return
            time.sleep(POLL_INTERVAL)
        raise DemoError(f"{name} did not listen on port {port} within {START_TIMEOUT:.0f} s")

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
