"""The test site of a run: a directory with throwaway keys, and a real sshd on a free port.

The SSH configuration of the machine is neither read nor written.
"""

from __future__ import annotations

import getpass
import itertools
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.processes import ended, program, run
from benchmarks.sshd import Sshd
from benchmarks.tunnels import LOOPBACK, SERVER, Login

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Lab:
    """A directory, an sshd, and the credentials for it."""

    directory: Path
    sshd: Sshd
    login: Login
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def port(self) -> int:
        """The port of the sshd."""
        return self.sshd.port

    def subdirectory(self, name: str) -> Path:
        """Create a new directory in the lab."""
        made = self.directory / f"{name}-{next(self._numbers)}"
        made.mkdir(mode=0o700)
        return made


@contextmanager
def open_lab(address: str = LOOPBACK) -> Iterator[Lab]:
    """Create a lab whose sshd listens on an address; remove it afterwards.

    Raises BenchmarkError if the sshd does not start.
    """
    directory = Path(tempfile.mkdtemp(prefix="tkbench"))
    try:
        login = Login(getpass.getuser(), directory / "key", directory / "known_hosts", address)
        sshd = Sshd(directory, address)
        for key in (login.key, sshd.host_key):
            run(program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        sshd.authorized_keys.write_text(_public(login.key))
        login.known_hosts.write_text(f"{SERVER} {_public(sshd.host_key)}")
        with ended(sshd.programs):
            sshd.start()
            yield Lab(directory, sshd, login)
    finally:
        shutil.rmtree(directory)


def _public(key: Path) -> str:
    return key.with_suffix(".pub").read_text()
