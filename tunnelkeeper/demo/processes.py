"""The demo's processes: relays and a supervisor, run as a person runs them, and ended for sure."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tunnelkeeper.demo.stage import HERE

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from tunnelkeeper.demo.stage import Stage

START_PATIENCE = 20.0
END_PATIENCE = 6.0
LOOK_AGAIN = 0.05


class DemoError(Exception):
    """The demo cannot be shown; the text says what did not work."""


@dataclass(slots=True)
class Processes:
    """What runs for one stage. Leaving it ends them all."""

    stage: Stage
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The supervisor first: it leaves the relays in peace.
        for name in reversed(self._running):
            self._end(self._running[name])

    def start_relays(self) -> None:
        """Start both relays and wait until they listen.

        Raises DemoFailed.
        """
        for name in ("inner", "relay"):
            self.start_relay(name)

    def start_relay(self, name: str) -> None:
        """Start one relay, for the first time or again.

        Raises DemoFailed.
        """
        config = str(self.stage.relay_config(name))
        self._start(name, ["relay", "serve", "--config", config])
        self._until_listening(name, getattr(self.stage.ports, name))

    def cut_relay(self) -> None:
        """Kill the relay, as a power cut would."""
        relay = self._running["relay"]
        relay.kill()
        relay.wait()

    def start_supervisor(self) -> None:
        """Start the supervisor; it answers on the stage's socket soon."""
        stage = self.stage
        options = ["--config", str(stage.config), "--socket", str(stage.socket)]
        self._start("supervisor", [*options, "up"])

    def log(self, name: str) -> Path:
        """What a process writes to."""
        return self.stage.folder / f"{name}.log"

    def check_alive(self) -> None:
        """Raise DemoFailed where a process has ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                last = self.log(name).read_text("utf-8", "replace").strip().splitlines()[-3:]
                raise DemoError(f"{name} has ended: {' / '.join(last) or 'without a word'}")

    def _start(self, name: str, arguments: list[str]) -> None:
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "tunnelkeeper", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C on the terminal is the demo's, which ends them in its own order.
                start_new_session=True,
                env=self._environment(),
            )

    def _environment(self) -> dict[str, str]:
        """Nothing of the user's set-up takes part."""
        own = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "TUNNELKEEPER_"))}
        folder = str(self.stage.folder)
        return own | {
            "XDG_RUNTIME_DIR": folder,
            "XDG_STATE_HOME": folder,
            "XDG_CONFIG_HOME": folder,
        }

    def _until_listening(self, name: str, port: int) -> None:
        until = time.monotonic() + START_PATIENCE
        while time.monotonic() < until:
            self.check_alive()
            with suppress(OSError), socket.create_connection((HERE, port), timeout=1):
                return
            time.sleep(LOOK_AGAIN)
        raise DemoError(f"{name} does not listen on port {port} within {START_PATIENCE:.0f} s")

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(END_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
