"""The real `tunnelkeeper relay serve` on a loopback port, and its other commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import tomli_w

from tests.e2e.keys import public
from tests.e2e.ports import free_port
from tests.e2e.program import COMMAND, SOURCE
from tests.e2e.server_process import ServerProcess
from tests.e2e.waiting import wait_until
from tunnelkeeper.control.client import Client

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.sandbox import Sandbox

USER = "box"


class RelayProcess(ServerProcess):
    """One relay with a separate config file. settings: the keys of relay.toml."""

    def __init__(self, directory: Path, authorized_keys: Path, **settings: Any) -> None:
        self.port = free_port()
        self.directory = directory
        self.config = directory / "relay.toml"
        self.authorized_keys = authorized_keys
        self.write_config(**settings)
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("XDG_")},
            "XDG_RUNTIME_DIR": str(directory),
            "XDG_STATE_HOME": str(directory),
            "PYTHONPATH": str(SOURCE),
            "NO_COLOR": "1",
        }
        if os.geteuid() == 0:
            self.environment["TUNNELKEEPER_RELAY_USER"] = "root"
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        command = [
            "env",
            "-i",
            *variables,
            *COMMAND,
            "relay",
            "serve",
            "--config",
            str(self.config),
        ]
        super().__init__(
            f"relay on port {self.port}", command, directory / "relay.log", ready="host key SHA256:"
        )

    def write_config(self, **settings: Any) -> None:
        """Replace relay.toml without a reload."""
        settings = {
            "listen": [f"127.0.0.1:{self.port}"],
            "authorized_keys": str(self.authorized_keys),
            "names": ["*"],
            **settings,
        }
        self.config.write_text(tomli_w.dumps(settings))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a subcommand of `relay` to its end."""
        return subprocess.run(
            [*COMMAND, "relay", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def status(self) -> Any:
        """Return the status that the relay reports on its control socket."""
        [socket] = (self.directory / "tunnelkeeper-relay").glob("relay*.sock")
        with Client(socket) as client:
            return json.loads(bytes(client.call("status")))

    def bound_targets(self) -> list[str]:
        """Return the targets of all bindings."""
        return [
            binding["listen"] for client in self.status()["clients"] for binding in client["holds"]
        ]

    def wait_until_bound(self, *targets: str) -> None:
        """Wait until clients listen on exactly these targets."""
        wait_until(
            lambda: sorted(self.bound_targets()) == sorted(targets), 10, lambda: str(self.status())
        )

    def send_signal(self, number: signal.Signals) -> None:
        """Send the relay a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop the relay as an administrator does; return its exit code."""
        assert self._process is not None
        self.send_signal(number)
        code = self._process.wait(5)
        self._process = None
        return code


def start_relay(sandbox: Sandbox, **settings: Any) -> RelayProcess:
    """Start a relay that accepts the sandbox's key; its host key is in known_hosts."""
    relay = RelayProcess(sandbox.subdirectory("r"), sandbox.authorized_keys, **settings)
    sandbox._stack.callback(relay.close)
    relay.start()
    add_known_host(sandbox, relay)
    return relay


def add_known_host(sandbox: Sandbox, relay: RelayProcess, *names: str) -> None:
    """Put the relay's host key into known_hosts."""
    key = relay.directory / "relay_host_key"
    completed = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(key)], check=True, capture_output=True, text=True
    )
    for name in names or (f"[127.0.0.1]:{relay.port}",):
        sandbox.add_known_host(name, " ".join(completed.stdout.split()[:2]))


def authorized_keys_line(key: Path, options: str = "") -> str:
    """Return a line of authorized_keys."""
    return f"{options} {public(key)}\n".lstrip()
