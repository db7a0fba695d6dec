"""An ordinary user on a machine with systemd whose tunnels run in user units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.services import echo
from tests.e2e.waiting import wait_until
from tunnelkeeper.systemd.unit_templates import SUPERVISOR

if TYPE_CHECKING:
    from tests.e2e.sandbox import Sandbox
    from tests.e2e.systemd import UserManager


class SystemdUser:
    """A user of the machine; the config file uses the sandbox's key for every host."""

    def __init__(self, sandbox: Sandbox, machine: UserManager) -> None:
        self.machine = machine
        self.config = machine.home / ".config" / "tunnelkeeper" / "tunnels.toml"
        self.known_hosts = machine.write(machine.home / "known_hosts", "")
        self._sandbox = sandbox
        self._key = machine.write(machine.home / "key", sandbox.key.read_text())
        self._key.chmod(0o600)

    def write_config(self, *tables: str) -> None:
        """Replace the config file and copy the sandbox's known_hosts."""
        self.known_hosts.write_text(self._sandbox.known_hosts.read_text())
        head = self._sandbox.head().replace(str(self._sandbox.key), str(self._key))
        head = head.replace(str(self._sandbox.known_hosts), str(self.known_hosts))
        self.machine.write(self.config, head + "".join(tables))

    def install(self, *arguments: str) -> str:
        """Run `units install`, which must succeed; return its output."""
        done = self.machine.tunnelkeeper("units", "install", *arguments)
        assert done.returncode == 0, f"{done}\n{self.machine.output()}"
        return done.stdout

    def drop_in(self, unit: str, *lines: str) -> None:
        """Add a drop-in file to a service, as `systemctl edit` does."""
        path = self.machine.units / f"{unit}.d" / "test.conf"
        self.machine.write(path, "\n".join(("[Service]", *lines, "")))
        self.machine.systemctl("daemon-reload")

    def main_pid(self, unit: str = SUPERVISOR) -> int:
        """Return the MainPID of a unit in its own PID namespace; 0 if it is not running."""
        return int(self.machine.property(unit, "MainPID"))

    def wait_for_new_main_pid(self, before: int) -> None:
        """Wait until the supervisor runs as a new process and is ready."""
        wait_until(lambda: self.main_pid() not in {0, before}, 90, self.machine.output)
        self.machine.wait_for_property(SUPERVISOR, "ActiveState", "active")


def forward(sandbox: Sandbox, port: int) -> str:
    """Return the config line of a forward from a local port to a new echo service."""
    return f'local = "{port}:{sandbox.service(echo)}"'
