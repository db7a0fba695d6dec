"""OpenSSH's server with throwaway keys on loopback; it reads nothing of the machine's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.keys import make_key
from tests.e2e.ports import free_port
from tests.e2e.server_process import ServerProcess
from tests.requirements import require

Options = dict[str, str | Sequence[str]]
"""Keywords of sshd_config(5); each value of a sequence is a line of its own."""


class Sshd(ServerProcess):
    """One sshd. `options` may be changed while it is stopped; it restarts on the same port."""

    def __init__(self, directory: Path, authorized_keys: Path, options: Options) -> None:
        self.port = free_port()
        self.host_key = make_key(directory / "host_key")
        self.options: Options = {
            "ListenAddress": "127.0.0.1",
            "Port": str(self.port),
            "HostKey": str(self.host_key),
            "AuthorizedKeysFile": str(authorized_keys),
            "PidFile": "none",
            "StrictModes": "no",  # the keys are below /tmp, which is writable by others
            "PermitRootLogin": "yes",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "MaxStartups": "100",
            "LogLevel": "DEBUG1",
            # In its first level, bash reads ~/.bashrc for a command of ssh. The user's own may
            # start many programs.
            "SetEnv": "SHLVL=1",
            **options,
        }
        self._config = directory / "sshd_config"
        command = [require("sshd"), "-D", "-e", "-f", str(self._config)]
        super().__init__(
            f"sshd on port {self.port}",
            command,
            directory / "sshd.log",
            ready=f"Server listening on 127.0.0.1 port {self.port}",
        )

    def start(self) -> None:
        """Write sshd_config and start the server."""
        if os.geteuid() == 0:
            # Debian's sshd uses this directory for privilege separation and requires it.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._config.write_text("".join(f"{line}\n" for line in _lines(self.options)))
        super().start()

    def logins(self) -> int:
        """Count the connections that have logged in so far."""
        return self.log().count("Accepted publickey for ")

    def login_attempts(self) -> int:
        """Count the login requests so far, by any method, including `none`."""
        return self.log().count("userauth-request for user ")


def _lines(options: Options) -> list[str]:
    return [
        f"{keyword} {value}"
        for keyword, values in options.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
