"""autossh as its users run it: ours through a link of that name, and the real one beside it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.e2e import log_files
from tests.e2e.server_process import is_running
from tests.e2e.site import USER
from tests.e2e.waiting import wait_until
from tests.requirements import absent, require

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.e2e.site import Site
    from tests.e2e.sshd import Sshd

REAL = "/usr/lib/autossh/autossh"
"""Debian's program itself, without its wrapper, which chooses a port where none is given."""
RECOVERY_TIMEOUT = 30.0
"""Seconds for a connection to be back after its server is."""

KEEPALIVES = '-o "ServerAliveInterval 45" -o "ServerAliveCountMax 2"'

STARTING = re.compile(r"starting ssh \(count (\d+)")
SLEEPING = re.compile(r"sleeping for grace time (\d+) secs")


def ours(directory: Path) -> Path:
    """Create a link named autossh to our program."""
    program = Path(sys.executable).with_name("tunnelkeeper")
    if not program.exists():
        absent(f"{program} is not installed")
    link = directory / "autossh"
    if not link.is_symlink():
        link.symlink_to(program)
    return link


def real() -> Path:
    """Debian's autossh."""
    found = Path(require("autossh"))
    return Path(REAL) if Path(REAL).exists() else found


def ssh_config(site: Site, server: Sshd, address: str = "127.0.0.1") -> Path:
    """Write an ssh_config in which `box` and the example hosts are the server."""
    path = site.directory / f"ssh_config{server.port}"
    path.write_text(
        f"""\
Host box example.com bar.com
  HostName {address}
  Port {server.port}
  User {USER}
  IdentityFile {site.key}
  IdentitiesOnly yes
  BatchMode yes
  UserKnownHostsFile {site.known_hosts}
"""
    )
    return path


@dataclass
class Autossh:
    """One run of autossh, with its log and pid file in a directory of its own."""

    program: Path
    directory: Path
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Run it; what it prints goes to files."""
        log_files.add(f"{self.program} {' '.join(self.arguments)}", self.log_file)
        with (self.directory / "out").open("wb") as out, (self.directory / "err").open("wb") as err:
            self.process = subprocess.Popen(
                [str(self.program), *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self.variables(),
            )

    def variables(self) -> dict[str, str]:
        """Return the environment it runs in."""
        clean = {n: v for n, v in os.environ.items() if not n.startswith("AUTOSSH_")}
        own = {
            "AUTOSSH_LOGFILE": str(self.log_file),
            "AUTOSSH_LOGLEVEL": "7",
            "AUTOSSH_PIDFILE": str(self.pid_file),
        }
        return {**clean, **own, **self.environment}

    @property
    def log_file(self) -> Path:
        return self.directory / "log"

    @property
    def pid_file(self) -> Path:
        return self.directory / "pid"

    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def output(self) -> str:
        """Return its output."""
        return (self.directory / "out").read_text() + (self.directory / "err").read_text()

    def start_count(self) -> int:
        """How often it started ssh, or what is that to us."""
        return max((int(n) for n in STARTING.findall(self.log())), default=0)

    def delays(self) -> list[int]:
        """Return the seconds between starts, as logged."""
        return [int(n) for n in SLEEPING.findall(self.log())]

    def pid(self) -> int:
        """Return the number in its pid file, or 0."""
        text = self.pid_file.read_text().strip() if self.pid_file.exists() else ""
        return int(text or 0)

    def wait_for_log(self, words: str, within: float = 30) -> None:
        wait_until(lambda: words in self.log(), within, lambda: f"{words!r} in {self.log()}")

    def wait_for_starts(self, count: int, within: float = 30) -> None:
        wait_until(
            lambda: self.start_count() >= count, within, lambda: f"{count} starts: {self.log()}"
        )

    def signal(self, number: int) -> None:
        """Send a signal to the process that the pid file names."""
        os.kill(wait_until(self.pid, within=10), number)

    def exit_code(self, within: float = 40) -> int:
        """Wait for the end."""
        return self.process.wait(within)

    def close(self) -> None:
        """End it, and what it left in the background."""
        with suppress(ValueError, ProcessLookupError, psutil.NoSuchProcess):
            if pid := self.pid():
                left = psutil.Process(pid)
                os.kill(pid, signal.SIGTERM)
                wait_until(lambda: not is_running(left), within=20)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        log_files.remove(self.log_file)


def launch(
    site: Site,
    program: Path,
    *arguments: str,
    variables: Mapping[str, str] | None = None,
) -> Autossh:
    """Start a run that ends with the site. variables: autossh's, without the AUTOSSH_ prefix."""
    environment = {f"AUTOSSH_{name}": value for name, value in (variables or {}).items()}
    run = Autossh(program, site.subdirectory("a"), arguments, environment)
    run.start()
    site.add_cleanup(run.close)
    return run


def autossh(
    site: Site, server: Sshd, line: str, variables: Mapping[str, str] | None = None
) -> Autossh:
    """Run a command line; add only an ssh_config that says where `example.com` is."""
    words = ["-F", str(ssh_config(site, server)), *shlex.split(line)]
    return launch(site, ours(site.directory), *words, variables=variables)


def run(
    site: Site, server: Sshd, line: str, data: bytes = b"", **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a command line that ends by itself, with its standard input and output."""
    words = [str(ours(site.directory)), "-F", str(ssh_config(site, server)), *shlex.split(line)]
    environment = {**os.environ, **variables}
    return subprocess.run(
        words, input=data, capture_output=True, check=False, timeout=60, env=environment
    )


def restart(server: Sshd) -> None:
    server.kill()
    server.start()
