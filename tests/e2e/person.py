"""An ordinary user of a machine with systemd, who has tunnels held by user units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.services import echo
from tests.e2e.waiting import wait_until
from tunnelkeeper.systemd.unit_templates import SUPERVISOR

if TYPE_CHECKING:
    from tests.e2e.site import Site
    from tests.e2e.systemd import UserManager


class Person:
    """A user of the machine, with a config file that lets every host in with the site's key."""

    def __init__(self, site: Site, machine: UserManager) -> None:
        self.machine = machine
        self.config = machine.home / ".config" / "tunnelkeeper" / "tunnels.toml"
        self.known_hosts = machine.write(machine.home / "known_hosts", "")
        self._site = site
        self._key = machine.write(machine.home / "key", site.key.read_text())
        self._key.chmod(0o600)

    def write_config(self, *tables: str) -> None:
        """Replace the config file; the servers that the site knows are known."""
        self.known_hosts.write_text(self._site.known_hosts.read_text())
        head = self._site.head().replace(str(self._site.key), str(self._key))
        head = head.replace(str(self._site.known_hosts), str(self.known_hosts))
        self.machine.write(self.config, head + "".join(tables))

    def install(self, *arguments: str) -> str:
        """Run `units install`, which must succeed; what it printed."""
        done = self.machine.tunnelkeeper("units", "install", *arguments)
        assert done.returncode == 0, f"{done}\n{self.machine.output()}"
        return done.stdout

    def drop_in(self, unit: str, *lines: str) -> None:
        """Change the settings of a service, as `systemctl edit` does."""
        path = self.machine.units / f"{unit}.d" / "test.conf"
        self.machine.write(path, "\n".join(("[Service]", *lines, "")))
        self.machine.systemctl("daemon-reload")

    def process(self, unit: str = SUPERVISOR) -> int:
        """Return the main process ID of a unit in its own PID namespace; 0 without one."""
        return int(self.machine.property(unit, "MainPID"))

    def wait_for_another_process(self, before: int) -> None:
        """Wait until the supervisor runs as another process than this one, and is ready."""
        wait_until(lambda: self.process() not in {0, before}, 90, self.machine.output)
        self.machine.wait_for_property(SUPERVISOR, "ActiveState", "active")


def forward(site: Site, port: int) -> str:
    """Return the key of a tunnel that leads from a local port to an echo service."""
    return f'local = "{port}:{site.service(echo)}"'
