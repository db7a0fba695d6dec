"""The real relay with its own config file, run and queried with its commands."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import msgspec

from tests.e2e.keys import make_key
from tests.e2e.ports import free_port
from tests.e2e.program import COMMAND, SOURCE
from tests.e2e.server_process import ServerProcess
from tests.requirements import require
from tunnelkeeper.core.relay_snapshot import RelaySnapshot

if TYPE_CHECKING:
    from pathlib import Path


class Relay(ServerProcess):
    """One `tunnelkeeper relay serve` that accepts the keys in authorized_keys.

    lines: further lines of its relay.toml.
    """

    def __init__(
        self, directory: Path, authorized_keys: Path, *lines: str, address: str = "127.0.0.1"
    ) -> None:
        self.port = free_port()
        self.host_key = make_key(directory / "host_key")
        config = directory / "relay.toml"
        listen = f"{address}:{self.port}"
        config.write_text(
            "\n".join(
                (
                    f'listen = "{listen}"',
                    f'host_keys = "{self.host_key}"',
                    f'authorized_keys = "{authorized_keys}"',
                    *lines,
                    "",
                )
            )
        )
        self._program = [require("env"), f"PYTHONPATH={SOURCE}", *COMMAND]
        self._program += ["--config", str(config), "--socket", str(directory / "relay.sock")]
        as_root = ["--user", "root"] if os.geteuid() == 0 else []
        self.serve_command = [*self._program, "relay", "serve", *as_root]
        super().__init__(
            f"relay on port {self.port}",
            self.serve_command,
            directory / "relay.log",
            ready=f"the relay listens on {listen}",
        )

    def status(self) -> RelaySnapshot:
        """Return the result of `relay status`."""
        command = [*self._program, "relay", "status", "--json"]
        output = subprocess.run(command, check=True, capture_output=True).stdout
        return msgspec.json.decode(output, type=RelaySnapshot)

    def close(self) -> None:
        """Stop the relay; check that its log has no traceback."""
        super().close()
        assert "Traceback" not in self.log(), self.log()
