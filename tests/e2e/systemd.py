"""A real `systemd --user` of an ordinary user, on a machine created for one test.

The machine consists of mount and PID namespaces: the host need not run systemd, and all processes
end with the first one. It shares the network of the host. Needs Linux, systemd and root.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.e2e import log_files
from tests.e2e.journal import Journal
from tests.e2e.program import SOURCE
from tests.e2e.waiting import wait_until
from tests.requirements import absent, require

if TYPE_CHECKING:
    from collections.abc import Iterator

UID = 54321
"""An ordinary user that exists in the namespaces only."""

SYSTEMD = Path("/usr/lib/systemd/systemd")
SCRIPT = Path(__file__).with_name("user_manager.sh")
COMMAND = (sys.executable, "-P", "-m", "tunnelkeeper")
START_TIMEOUT = 60.0
COMMAND_TIMEOUT = 90.0


class UserManager:
    """The machine, its user with a home directory, and the journal of the user's services."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "home"
        self.runtime = directory / "run" / "user" / str(UID)
        self.units = self.home / ".config" / "systemd" / "user"
        self.environment = {
            "HOME": str(self.home),
            "USER": "tk",
            "LANG": "C.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "XDG_RUNTIME_DIR": f"/run/user/{UID}",
            "PYTHONPATH": str(SOURCE),
            "NO_COLOR": "1",
        }
        self._directory = directory
        self._log = directory / "systemd.log"
        self._cgroup = f"tk-{secrets.token_hex(4)}"
        self._create_files()
        self.journal = Journal(directory / "run" / "systemd" / "journal" / "stdout")
        log_files.add("systemd --user", self._log)
        self._process = self._start()
        self._init_pid = self._find_init()
        self._wait_until_it_answers()

    def run(
        self, *command: str, timeout: float = COMMAND_TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the machine as its user and wait for its end."""
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        identity = ["--reuid", str(UID), "--regid", str(UID), "--clear-groups"]
        return subprocess.run(
            [
                *(require("nsenter"), "-t", str(self._init_pid), "-m", "-p"),
                *(require("setpriv"), *identity),
                *("env", "-i", "-C", str(self.home), *variables, *command),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def succeed(self, *command: str, timeout: float = COMMAND_TIMEOUT) -> str:
        """Run a command that must exit with 0; return its output."""
        done = self.run(*command, timeout=timeout)
        assert done.returncode == 0, f"{done}\n{self.output()}"
        return done.stdout

    def tunnelkeeper(
        self, *arguments: str, timeout: float = COMMAND_TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        """Run a tunnelkeeper command as the user."""
        return self.run(*COMMAND, *arguments, timeout=timeout)

    def systemctl(self, *arguments: str, timeout: float = COMMAND_TIMEOUT) -> str:
        """Run a `systemctl --user` that must succeed; return its output."""
        return self.succeed("systemctl", "--user", *arguments, timeout=timeout)

    def property(self, unit: str, name: str) -> str:
        """Return a property of a unit from `systemctl show`."""
        return self.systemctl("show", f"--property={name}", "--value", unit).strip()

    def wait_for_property(
        self, unit: str, name: str, value: str, within: float = START_TIMEOUT
    ) -> None:
        """Wait until a property of a unit has the value."""
        wait_until(
            lambda: self.property(unit, name) == value,
            within,
            lambda: f"{name} of {unit} is not {value}: {self.output()}",
        )

    def write(self, path: Path, text: str) -> Path:
        """Write a file of the user, and create its parent directories."""
        for directory in reversed([f for f in path.parents if not f.exists()]):
            directory.mkdir()
            os.chown(directory, UID, UID)
        path.write_text(text)
        os.chown(path, UID, UID)
        return path

    def chown(self, path: Path) -> Path:
        """Change the owner of a file to the user."""
        os.chown(path, UID, UID)
        return path

    def output(self) -> str:
        """Return the output of systemd and the services."""
        return f"{self._log.read_text(errors='replace')}\n{self.journal.text()}"

    def close(self) -> None:
        """End the machine and check that no process is left."""
        self._process.kill()
        self._process.wait()
        wait_until(lambda: not psutil.pid_exists(self._init_pid), 30, "the machine has not ended")
        self.journal.close()
        _remove_cgroup(self._cgroup)
        log_files.remove(self._log)

    def _create_files(self) -> None:
        """Create the machine's /run, the user's home and the user database."""
        run = self._directory / "run"
        for name in ("systemd/system", "systemd/journal", f"user/{UID}"):
            (run / name).mkdir(parents=True)
        self.home.mkdir()
        for directory in (self.home, self.runtime):
            os.chown(directory, UID, UID)
        self.runtime.chmod(0o700)
        self._directory.chmod(0o755)
        users = Path("/etc/passwd").read_text().rstrip("\n")
        line = f"tk:x:{UID}:{UID}::{self.home}:/bin/sh"
        (self._directory / "passwd").write_text(f"{users}\n{line}\n")

    def _start(self) -> subprocess.Popen[bytes]:
        if not SYSTEMD.exists():
            absent("systemd is not installed")
        readable = dict.fromkeys(map(str, (SOURCE, sys.prefix, sys.base_prefix)))
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [
                    *(require("unshare"), "--mount", "--pid", "--fork", "--kill-child"),
                    *("--mount-proc", "--", "/bin/sh", str(SCRIPT)),
                    *(str(self._directory), str(UID), self._cgroup, str(SYSTEMD), *readable),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _find_init(self) -> int:
        """Return the process ID of the machine's init on the host."""

        def children() -> list[psutil.Process]:
            if self._process.poll() is not None:
                absent(
                    f"this machine does not allow namespaces for systemd: {self._log.read_text()}"
                )
            return psutil.Process(self._process.pid).children()

        [init] = wait_until(children, START_TIMEOUT, "unshare has started no process")
        return init.pid

    def _wait_until_it_answers(self) -> None:
        socket = self.runtime / "systemd" / "private"

        def answers() -> bool:
            if self._process.poll() is not None:
                absent(f"systemd --user does not run here: {self._log.read_text()}")
            return socket.exists() and self._is_running()

        wait_until(answers, START_TIMEOUT, self.output)

    def _is_running(self) -> bool:
        done = self.run("systemctl", "--user", "is-system-running")
        return done.stdout.strip() in {"running", "degraded"}


@contextmanager
def new_user_manager(directory: Path) -> Iterator[UserManager]:
    """Run a machine with a `systemd --user`. directory: new, empty, with a short path."""
    if os.geteuid() != 0:
        absent("namespaces with a systemd of their own need root")
    manager = UserManager(directory)
    try:
        yield manager
    finally:
        manager.close()


def _remove_cgroup(name: str) -> None:
    """Remove the cgroup of a machine that has ended, with its child cgroups."""
    script = (
        "mount -t cgroup2 none /sys/fs/cgroup && "
        'find "/sys/fs/cgroup/$1" -depth -type d -exec rmdir {} +'
    )
    command = [require("unshare"), "--mount", "/bin/sh", "-c", script, "sh", name]
    subprocess.run(command, check=True, capture_output=True)
