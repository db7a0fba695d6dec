"""The sshd of a lab. It can be started, and killed as by a power failure, repeatedly."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.processes import (
    BenchmarkError,
    family,
    free_ports,
    is_listening,
    program,
    spawn,
    wait_until,
)

if TYPE_CHECKING:
    from subprocess import Popen

STARTS_WITHIN = 10.0


class Sshd:
    """OpenSSH's server in a directory, without the machine's own configuration.

    programs: the running process, for the lab to end it.
    """

    def __init__(self, directory: Path, address: str) -> None:
        self.host_key = directory / "host_key"
        self.authorized_keys = directory / "authorized_keys"
        self.port = free_ports(1)[0]
        self.programs: list[Popen[bytes]] = []
        self._address = address
        self._config = directory / "sshd_config"
        self._log = directory / "sshd.log"

    def start(self) -> None:
        """Start it and wait until it listens; raise BenchmarkError if it fails."""
        self._config.write_text(
            f"ListenAddress {self._address}\n"
            f"Port {self.port}\n"
            f"HostKey {self.host_key}\n"
            f"AuthorizedKeysFile {self.authorized_keys}\n"
            "PidFile none\n"
            "StrictModes no\n"  # the keys are in /tmp, which is writable for others
            "PermitRootLogin yes\n"
            "PasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\n"
            "MaxStartups 10000\n"  # a thousand tunnels connect at once
            "LogLevel ERROR\n"
        )
        if os.geteuid() == 0:
            # Debian's sshd drops its privileges into this directory and wants it to exist.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        server = spawn([program("sshd"), "-D", "-e", "-f", str(self._config)], self._log)
        self.programs.append(server)
        wait_until(
            lambda: is_listening(self.port, self._address) or server.poll() is not None,
            within=STARTS_WITHIN,
            what="sshd listens",
        )
        if server.poll() is not None:
            output = self._log.read_text(errors="backslashreplace").strip()
            raise BenchmarkError(f"sshd did not start: {output}")

    def kill(self) -> None:
        """Kill it and its sessions; clients notice only through the kernel."""
        server = self.programs.pop()
        psutil.Process(server.pid).suspend()  # otherwise it could fork another session
        for pid in reversed(family([server.pid])):
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()
        server.wait()
