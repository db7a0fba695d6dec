"""Dropbear's server, as on routers, on a loopback port and with its own home directory."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from tests.e2e.ports import free_port
from tests.e2e.server_process import ServerProcess
from tests.requirements import absent, require


class Dropbear(ServerProcess):
    """One Dropbear. options: of its command line, such as -k.

    It ignores HOME and reads ~/.ssh/authorized_keys of the passwd entry. So another directory is
    mounted over the home directory, in a mount namespace of this server only.
    """

    def __init__(self, directory: Path, authorized_keys: Path, *options: str) -> None:
        self.port = free_port()
        self.host_key = directory / "dropbear_host_key"
        self._make_host_key()
        home = directory / "home"
        _authorize(authorized_keys, home)
        command = [require("dropbear"), "-F", "-E", "-p", f"127.0.0.1:{self.port}"]
        command += ["-r", str(self.host_key), "-P", str(directory / "dropbear.pid"), *options]
        super().__init__(
            f"dropbear on port {self.port}",
            _with_home(home, command),
            directory / "dropbear.log",
            ready="Not backgrounding",
        )

    def public_host_key(self) -> str:
        """Return `type base64` of the host key."""
        command = [require("dropbearkey"), "-y", "-f", str(self.host_key)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        line = next(line for line in output.splitlines() if line.startswith("ssh-"))
        return " ".join(line.split()[:2])

    def _make_host_key(self) -> None:
        command = [require("dropbearkey"), "-t", "ed25519", "-f", str(self.host_key)]
        subprocess.run(command, check=True, capture_output=True)


def _authorize(authorized_keys: Path, home: Path) -> None:
    """Create authorized_keys in the home directory, with the modes that Dropbear requires."""
    ssh = home / ".ssh"
    ssh.mkdir(parents=True)
    home.chmod(0o700)
    ssh.chmod(0o700)
    shutil.copyfile(authorized_keys, ssh / "authorized_keys")
    (ssh / "authorized_keys").chmod(0o600)


def _with_home(home: Path, command: list[str]) -> list[str]:
    """Wrap a command so that the directory is its home directory; its process ID stays the same."""
    if os.geteuid() != 0:
        absent("Dropbear needs a mount namespace for its authorized_keys, and that needs root")
    mount = shlex.join([require("mount"), "--bind", str(home), str(Path("~root").expanduser())])
    return [require("unshare"), "-m", "sh", "-c", f"{mount} && exec {shlex.join(command)}"]
