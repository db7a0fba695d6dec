"""The sshd of a lab: started, and ended as by a power cut, as often as a measure wants."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.processes import Unable, family, free_ports, listens, program, spawn, wait_until

if TYPE_CHECKING:
    from subprocess import Popen

STARTS_WITHIN = 10.0


class Sshd:
    """OpenSSH's server below a directory; it reads nothing of the machine's own.

    programs: the process that runs now, for who ends it with the lab.
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
        """Run it; return when it listens. Raises Unable when it does not."""
        self._config.write_text(
            f"ListenAddress {self._address}\n"
            f"Port {self.port}\n"
            f"HostKey {self.host_key}\n"
            f"AuthorizedKeysFile {self.authorized_keys}\n"
            "PidFile none\n"
            "StrictModes no\n"  # the keys lie below /tmp, which others can write to
            "PermitRootLogin yes\n"
            "PasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\n"
            "MaxStartups 10000\n"  # a thousand tunnels come at once
            "LogLevel ERROR\n"
        )
        if os.geteuid() == 0:
            # Debian's sshd drops its privileges into this directory and wants it to exist.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        server = spawn([program("sshd"), "-D", "-e", "-f", str(self._config)], self._log)
        self.programs.append(server)
        wait_until(
            lambda: listens(self.port, self._address) or server.poll() is not None,
            within=STARTS_WITHIN,
            what="sshd listens",
        )
        if server.poll() is not None:
            said = self._log.read_text(errors="backslashreplace").strip()
            raise Unable(f"sshd did not start: {said}")

    def kill(self) -> None:
        """End it and its sessions at once; their clients hear of it from the kernel alone."""
        server = self.programs.pop()
        psutil.Process(server.pid).suspend()  # else it could fork a session that is missed here
        for pid in reversed(family([server.pid])):
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()
        server.wait()
