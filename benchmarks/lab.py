"""Where a run happens: a directory with throwaway keys, and a real sshd on a free loopback port.

Nothing of the machine's own SSH configuration is read or written.
"""

from __future__ import annotations

import getpass
import itertools
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.processes import Unable, ended, free_ports, listens, program, run, spawn, wait_until
from benchmarks.tunnels import SERVER, Login

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Lab:
    """A directory, the port of the sshd, and how to log in there."""

    directory: Path
    port: int
    login: Login
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def subdirectory(self, name: str) -> Path:
        """A new directory of this lab."""
        made = self.directory / f"{name}-{next(self._numbers)}"
        made.mkdir(mode=0o700)
        return made


@contextmanager
def open_lab() -> Iterator[Lab]:
    """A lab, and the end of its sshd and its files. Raises Unable when the sshd does not start."""
    directory = Path(tempfile.mkdtemp(prefix="tkbench"))
    try:
        login = Login(getpass.getuser(), directory / "key", directory / "known_hosts")
        lab = Lab(directory, free_ports(1)[0], login)
        host_key = directory / "host_key"
        for key in (login.key, host_key):
            run(program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        (directory / "authorized_keys").write_text(_public(login.key))
        login.known_hosts.write_text(f"{SERVER} {_public(host_key)}")
        with _sshd(lab, host_key):
            yield lab
    finally:
        shutil.rmtree(directory)


@contextmanager
def _sshd(lab: Lab, host_key: Path) -> Iterator[None]:
    config = lab.directory / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1\n"
        f"Port {lab.port}\n"
        f"HostKey {host_key}\n"
        f"AuthorizedKeysFile {lab.directory / 'authorized_keys'}\n"
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
    log = lab.directory / "sshd.log"
    server = spawn([program("sshd"), "-D", "-e", "-f", str(config)], log)
    with ended([server]):
        wait_until(
            lambda: listens(lab.port) or server.poll() is not None, within=10, what="sshd listens"
        )
        if server.poll() is not None:
            raise Unable(f"sshd did not start: {log.read_text(errors='backslashreplace').strip()}")
        yield


def _public(key: Path) -> str:
    return key.with_suffix(".pub").read_text()
