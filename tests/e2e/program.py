"""The real program with its own home: `up` in the foreground, its status, all commands."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import psutil

import tunnelkeeper
from tests.e2e import log_files
from tests.e2e.server_process import is_running
from tests.e2e.waiting import TIMEOUT, wait_until
from tunnelkeeper.core.snapshot import StatusSnapshot, TunnelSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable

COMMAND = (sys.executable, "-m", "tunnelkeeper")
SOURCE = Path(tunnelkeeper.__file__).parents[1]
EXIT_TIMEOUT = 30.0
"""Seconds within which the supervisor must end after SIGTERM: more than its own limits, since the
machine may be slow."""


class Program:
    """One installation of tunnelkeeper: a config file, a supervisor, and other commands."""

    def __init__(self, home: Path, config: str) -> None:
        self.home = home
        self.config = home / "config" / "tunnelkeeper" / "tunnels.toml"
        self.socket = home / "run" / "tunnelkeeper" / "control.sock"
        self.environment = _environment(home)
        self.command_prefix: tuple[str, ...] = ()
        """A command that runs the supervisor, given as its arguments."""
        self._log = home / "up.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.config.parent.mkdir(parents=True)
        (home / "run").mkdir(mode=0o700)
        self.write_config(config)
        log_files.add(f"tunnelkeeper up ({home.name})", self._log)

    def write_config(self, text: str) -> None:
        """Replace the config file without a reload."""
        self.config.write_text(text)

    def up(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the supervisor in the foreground and wait until it answers on its socket."""
        process = self._process = self.spawn("up", *arguments)
        wait_until(
            lambda: self.answers() or process.poll() is not None,
            message=lambda: f"no answer on {self.socket}; log: {self.log()}",
        )
        if process.poll() is not None:
            self._process = None
            raise AssertionError(f"up ended with {process.returncode}: {self.log()}")
        return process

    def spawn(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command in the background, with its output in the log."""
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*self.command_prefix, *COMMAND, *arguments],
                env=self.environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def run(
        self, *arguments: str, timeout: float = 30, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; the caller checks the exit code."""
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment,
            cwd=self.home,
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def succeed(self, *arguments: str, timeout: float = 30) -> str:
        """Run a command that must exit with 0; return its output."""
        done = self.run(*arguments, timeout=timeout)
        assert done.returncode == 0, f"{arguments} exited with {done.returncode}: {done}"
        return done.stdout

    def call(self, method: str, **parameters: object) -> object:
        """Send one request on the control socket; return the result.

        Raises OSError if no supervisor listens.
        """
        return _call(self.socket, method, **parameters)

    def status(self) -> StatusSnapshot:
        """Return the status of all tunnels."""
        return msgspec.convert(self.call("status"), StatusSnapshot)

    def tunnel(self, name: str) -> TunnelSnapshot:
        """Return the status of one tunnel."""
        return next(tunnel for tunnel in self.status().tunnels if tunnel.name == name)

    def wait_for(
        self, name: str, condition: Callable[[TunnelSnapshot], object], within: float = TIMEOUT
    ) -> TunnelSnapshot:
        """Wait until the tunnel meets the condition; return its snapshot."""
        seen: list[TunnelSnapshot] = []

        def matches() -> TunnelSnapshot | None:
            seen[:] = [self.tunnel(name)]
            return seen[0] if condition(seen[0]) else None

        return wait_until(matches, within, lambda: f"{name} is {seen}")

    def wait_for_state(
        self, name: str, state: str, cause: str | None = None, within: float = TIMEOUT
    ) -> TunnelSnapshot:
        """Wait until the tunnel is in the state, with that cause if given; return its snapshot."""

        def matches(tunnel: TunnelSnapshot) -> bool:
            actual = tunnel.failure.cause if tunnel.failure else None
            return tunnel.state == state and cause in (None, actual)

        return self.wait_for(name, matches, within)

    def wait_until_up(self, *names: str, within: float = TIMEOUT) -> None:
        """Wait until these tunnels are up; without names, all of them."""
        for name in names or [tunnel.name for tunnel in self.status().tunnels]:
            self.wait_for_state(name, "up", within=within)

    def log(self) -> str:
        """Return the output of `up`."""
        return self._log.read_text(errors="backslashreplace") if self._log.exists() else ""

    def send_signal(self, number: signal.Signals) -> None:
        """Send the foreground supervisor a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop the foreground supervisor with a signal; return its exit code."""
        self.send_signal(number)
        return self.wait_for_exit()

    def kill(self) -> None:
        """Kill the foreground supervisor, without any cleanup."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def wait_for_exit(self, within: float = EXIT_TIMEOUT) -> int:
        """Wait for the foreground supervisor to end; return its exit code."""
        process, self._process = self._process, None
        assert process is not None
        try:
            return process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"up did not end within {within} s: {self.log()}") from None

    def close(self) -> None:
        """Stop the supervisor if it still runs; check that it exits cleanly."""
        try:
            if self._process is not None:
                assert self.stop() == 0, f"up failed: {self.log()}"
            elif self.answers():
                _terminate(psutil.Process(self.status().supervisor.pid))
            assert "Traceback" not in self.log(), self.log()
        finally:
            log_files.remove(self._log)

    def answers(self, path: Path | str = "") -> bool:
        """Return whether a supervisor serves its socket, or another one (relative to the home)."""
        try:
            _call(self.home / path if path else self.socket, "version")
        except OSError:
            return False
        return True


def _call(path: Path, method: str, **parameters: object) -> object:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as answers:
            answer = json.loads(answers.readline())
    assert "result" in answer, f"{method} failed: {answer}"
    return answer["result"]


def _environment(home: Path) -> dict[str, str]:
    """Return the environment without variables that point outside the program's home."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TUNNELKEEPER_", "XDG_", "SSH_", "PYTHON", "COV_"))
    }
    return kept | {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "XDG_STATE_HOME": str(home / "state"),
        "PYTHONPATH": str(SOURCE),
        "NO_COLOR": "1",
    }


def _terminate(supervisor: psutil.Process) -> None:
    supervisor.terminate()
    try:
        wait_until(lambda: not is_running(supervisor), EXIT_TIMEOUT, "the supervisor still runs")
    except AssertionError:
        supervisor.kill()
        raise
