"""autossh as users run it: our program through a link of that name, and the real autossh."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.e2e import log_files
from tests.e2e.keys import public
from tests.e2e.netns import RELAY, new_network
from tests.e2e.ports import free_port_range
from tests.e2e.sandbox import USER
from tests.e2e.server_process import is_running
from tests.e2e.sshd import Sshd
from tests.e2e.waiting import wait_until
from tests.requirements import absent, require

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.e2e.netns import Network
    from tests.e2e.sandbox import Sandbox

REAL = "/usr/lib/autossh/autossh"
"""The binary of Debian, without its wrapper, which chooses a monitoring port."""
RECOVERY_TIMEOUT = 30.0
"""Seconds until a connection must be restored after its server has returned."""

KEEPALIVES = '-o "ServerAliveInterval 45" -o "ServerAliveCountMax 2"'

STARTING = re.compile(r"starting ssh \(count (\d+)")
SLEEPING = re.compile(r"sleeping for grace time (\d+) secs")


def own_autossh(directory: Path) -> Path:
    """Create a link named autossh to our program."""
    program = Path(sys.executable).with_name("tunnelkeeper")
    if not program.exists():
        absent(f"{program} is not installed")
    link = directory / "autossh"
    if not link.is_symlink():
        link.symlink_to(program)
    return link


def debian_autossh() -> Path:
    """Return the path of Debian's autossh."""
    found = Path(require("autossh"))
    return Path(REAL) if Path(REAL).exists() else found


def ssh_config(sandbox: Sandbox, server: Sshd, address: str = "127.0.0.1") -> Path:
    """Write an ssh_config in which `box` and the example hosts name the server."""
    path = sandbox.directory / f"ssh_config{server.port}"
    path.write_text(
        f"""\
Host box example.com bar.com
  HostName {address}
  Port {server.port}
  User {USER}
  IdentityFile {sandbox.key}
  IdentitiesOnly yes
  BatchMode yes
  UserKnownHostsFile {sandbox.known_hosts}
"""
    )
    return path


@dataclass
class Autossh:
    """One run of autossh, with its log and pid file in its own directory."""

    program: Path
    directory: Path
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Start the program, with its output in files."""
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
        """Return the environment of the program."""
        inherited = {n: v for n, v in os.environ.items() if not n.startswith("AUTOSSH_")}
        own = {
            "AUTOSSH_LOGFILE": str(self.log_file),
            "AUTOSSH_LOGLEVEL": "7",
            "AUTOSSH_PIDFILE": str(self.pid_file),
        }
        return {**inherited, **own, **self.environment}

    @property
    def log_file(self) -> Path:
        return self.directory / "log"

    @property
    def pid_file(self) -> Path:
        return self.directory / "pid"

    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def output(self) -> str:
        """Return the combined standard output and error."""
        return (self.directory / "out").read_text() + (self.directory / "err").read_text()

    def start_count(self) -> int:
        """Return how often it has started ssh, or our equivalent of that."""
        return max((int(n) for n in STARTING.findall(self.log())), default=0)

    def delays(self) -> list[int]:
        """Return the delays between starts in seconds, from the log."""
        return [int(n) for n in SLEEPING.findall(self.log())]

    def pid(self) -> int:
        """Return the process ID in its pid file, or 0."""
        text = self.pid_file.read_text().strip() if self.pid_file.exists() else ""
        return int(text or 0)

    def wait_for_log(self, text: str, within: float = 30) -> None:
        wait_until(lambda: text in self.log(), within, lambda: f"no {text!r} in {self.log()}")

    def wait_for_starts(self, count: int, within: float = 30) -> None:
        wait_until(
            lambda: self.start_count() >= count,
            within,
            lambda: f"fewer than {count} starts: {self.log()}",
        )

    def signal(self, number: int) -> None:
        """Send a signal to the process that the pid file names."""
        os.kill(wait_until(self.pid, within=10), number)

    def exit_code(self, within: float = 40) -> int:
        """Wait for the end of the program; return its exit code."""
        return self.process.wait(within)

    def close(self) -> None:
        """Stop the program and its background process."""
        with suppress(ValueError, ProcessLookupError, psutil.NoSuchProcess):
            if pid := self.pid():
                background = psutil.Process(pid)
                os.kill(pid, signal.SIGTERM)
                wait_until(lambda: not is_running(background), within=20)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        log_files.remove(self.log_file)


def launch(
    sandbox: Sandbox,
    program: Path,
    *arguments: str,
    variables: Mapping[str, str] | None = None,
) -> Autossh:
    """Start a run that ends with the sandbox. variables: without their AUTOSSH_ prefix."""
    environment = {f"AUTOSSH_{name}": value for name, value in (variables or {}).items()}
    run = Autossh(program, sandbox.subdirectory("a"), arguments, environment)
    run.start()
    sandbox.add_cleanup(run.close)
    return run


def autossh(
    sandbox: Sandbox, server: Sshd, line: str, variables: Mapping[str, str] | None = None
) -> Autossh:
    """Start our program with a command line and an ssh_config that resolves `example.com`."""
    arguments = ["-F", str(ssh_config(sandbox, server)), *shlex.split(line)]
    return launch(sandbox, own_autossh(sandbox.directory), *arguments, variables=variables)


@contextmanager
def monitored_over_a_network(
    sandbox: Sandbox, variables: Mapping[str, str]
) -> Iterator[tuple[Autossh, Network]]:
    """Run our program with a monitoring loop on one machine of a network, and sshd on another."""
    with ExitStack() as stack:
        network = stack.enter_context(new_network())
        addresses = ["127.0.0.1", RELAY]
        server = Sshd(
            sandbox.subdirectory("r"), sandbox.authorized_keys, {"ListenAddress": addresses}
        )
        stack.callback(server.close)
        sandbox.add_known_host(f"[{RELAY}]:{server.port}", public(server.host_key))
        config = ssh_config(sandbox, server, RELAY)
        with network.relay.entered():
            server.start()
        with network.client.entered():
            started = launch(
                sandbox,
                own_autossh(sandbox.directory),
                *("-M", str(free_port_range(2)), "-F", str(config), "-N", "box"),
                variables=variables,
            )
            stack.callback(started.close)
        yield started, network


def run(
    sandbox: Sandbox, server: Sshd, line: str, data: bytes = b"", **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a command line to its end, with data on standard input."""
    arguments = [
        str(own_autossh(sandbox.directory)),
        "-F",
        str(ssh_config(sandbox, server)),
        *shlex.split(line),
    ]
    environment = {**os.environ, **variables}
    return subprocess.run(
        arguments, input=data, capture_output=True, check=False, timeout=60, env=environment
    )


def restart(server: Sshd) -> None:
    server.kill()
    server.start()
