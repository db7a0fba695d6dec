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
"""Keywords of sshd_config(5); several values are several lines."""


class Sshd(ServerProcess):
    """One sshd. `options` may be changed while it is down; it restarts on the same port."""

    def __init__(self, directory: Path, authorized_keys: Path, options: Options) -> None:
        self.port = free_port()
        self.host_key = make_key(directory / "host_key")
        self.options: Options = {
            "ListenAddress": "127.0.0.1",
            "Port": str(self.port),
            "HostKey": str(self.host_key),
            "AuthorizedKeysFile": str(authorized_keys),
            "PidFile": "none",
            "StrictModes": "no",  # the keys lie in a directory below /tmp, which others can write
            "PermitRootLogin": "yes",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "MaxStartups": "100",
            "LogLevel": "DEBUG1",
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
        """Write its options down and run it."""
        if os.geteuid() == 0:
            # Debian's sshd drops its privileges into this directory and wants it to exist.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._config.write_text("".join(f"{line}\n" for line in _lines(self.options)))
        super().start()

    def logins(self) -> int:
        """How many connections have logged in since it was made."""
        return self.log().count("Accepted publickey for ")

    def login_attempts(self) -> int:
        """How many times a client has asked to log in, by any method, even `none`."""
        return self.log().count("userauth-request for user ")


def _lines(options: Options) -> list[str]:
    return [
        f"{keyword} {value}"
        for keyword, values in options.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
