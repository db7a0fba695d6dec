"""The contenders, started and stopped through their command lines; nothing is measured here.

A running contender knows its client processes and the ports of its forwards.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from benchmarks import go_forwarder
from benchmarks.processes import (
    BenchmarkError,
    ended,
    family,
    is_listening,
    program,
    run,
    spawn,
    wait_until,
)
from benchmarks.rows import Contender
from benchmarks.tunnels import (
    forward_request,
    master_arguments,
    ssh_arguments,
    ssh_config,
    tunnelkeeper_config,
)
from tunnelkeeper.core.snapshot import StatusSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from subprocess import Popen

    from benchmarks.lab import Lab
    from benchmarks.tunnels import Forward, Tunnel

SOURCE = Path(__file__).resolve().parent.parent
READY_WITHIN = 120.0  # seconds: a thousand tunnels on a slow machine
CONFIG, SOCKET, LOG = "tunnels.toml", "control.sock", "log"
AES_GCM = "aes128-gcm@openssh.com"  # the cipher that tunnelkeeper chooses
CIPHERS = {Contender.SSH_GCM: AES_GCM}
MASTER_WITHIN = 10.0  # seconds until a master has logged in


class Client:
    """The client side of one contender."""

    def __init__(
        self, programs: Sequence[Popen[bytes]], tunnels: Sequence[Tunnel], log: Path
    ) -> None:
        self.programs = programs
        self.log = log
        self._ahead = [forward.listen for tunnel in tunnels for forward in tunnel.forwards]

    def pids(self) -> list[int]:
        """Return the ids of its processes and their descendants."""
        return family(each.pid for each in self.programs)

    def entry(self, forward: Forward) -> int:
        """Return the port that a client of the forward connects to."""
        return forward.listen

    def is_up(self) -> bool:
        """Return whether every forward listens; ssh listens only after its login."""
        while self._ahead and is_listening(self._ahead[-1]):
            self._ahead.pop()
        return not self._ahead

    def wait_until_up(self) -> None:
        """Wait until every tunnel is up; raise BenchmarkError after the timeout."""
        wait_until(lambda: self.is_up() or self._has_ended(), READY_WITHIN, "all tunnels are up")
        if self._has_ended():
            lines = self.log.read_text(errors="backslashreplace").splitlines()
            raise BenchmarkError("\n".join(["a contender exited too early:", *lines[-10:]]))

    def _has_ended(self) -> bool:
        return any(each.poll() is not None for each in self.programs)


class Supervisor(Client):
    """A running `tunnelkeeper up`, observed through `tunnelkeeper status`."""

    def __init__(self, programs: Sequence[Popen[bytes]], home: Path) -> None:
        super().__init__(programs, (), home / LOG)
        self._home = home

    @property
    def pid(self) -> int:
        """The process id of the supervisor."""
        return self.programs[0].pid

    def is_up(self) -> bool:
        """Return whether the status of every tunnel is `up`."""
        if not (self._home / SOCKET).exists():
            return False
        return all(tunnel.state == "up" for tunnel in self.status().tunnels)

    def status(self) -> StatusSnapshot:
        """Return the current status."""
        command = _tunnelkeeper(self._home, "status", "--json")
        output = run(*command, environment=_environment(self._home), codes=(0, 1))
        return msgspec.json.decode(output, type=StatusSnapshot)


class NoTunnel(Client):
    """A direct connection to the service: the upper bound of the load generators."""

    def entry(self, forward: Forward) -> int:
        """Return the port of the service."""
        return forward.connect


@contextmanager
def opened(lab: Lab, name: Contender, tunnels: Sequence[Tunnel]) -> Iterator[Client]:
    """Run a contender with all tunnels up; stop it at the end of the block."""
    with started(lab, name, tunnels) as client:
        client.wait_until_up()
        yield client


@contextmanager
def started(lab: Lab, name: Contender, tunnels: Sequence[Tunnel]) -> Iterator[Client]:
    """Run a contender without waiting for its tunnels."""
    home = lab.subdirectory("contender")
    match name:
        case Contender.TUNNELKEEPER:
            with _supervisor(lab, home, tunnels) as client:
                yield client
        case Contender.NO_TUNNEL:
            yield NoTunnel((), (), home / LOG)
        case Contender.SSH | Contender.SSH_GCM:
            with _ssh_each(lab, home, tunnels, [program("ssh")], CIPHERS.get(name, "")) as client:
                yield client
        case Contender.MASTER:
            with _masters(lab, home, tunnels) as client:
                yield client
        case Contender.GO:
            with _forwarders(lab, home, tunnels) as client:
                yield client
        case Contender.AUTOSSH:
            # -M 0: no monitoring port, as in systemd units.
            # A gate time would make early failures final.
            environment = {"AUTOSSH_PATH": program("ssh"), "AUTOSSH_GATETIME": "0"}
            command = [program("autossh"), "-M", "0"]
            with _ssh_each(lab, home, tunnels, command, "", environment) as client:
                yield client


@contextmanager
def supervisor(lab: Lab, tunnels: Sequence[Tunnel]) -> Iterator[Supervisor]:
    """Run tunnelkeeper with all tunnels up."""
    with _supervisor(lab, lab.subdirectory("contender"), tunnels) as running:
        running.wait_until_up()
        yield running


@contextmanager
def _supervisor(lab: Lab, home: Path, tunnels: Sequence[Tunnel]) -> Iterator[Supervisor]:
    (home / CONFIG).write_text(tunnelkeeper_config(lab.login, tunnels))
    programs: list[Popen[bytes]] = []
    with ended(programs):
        programs.append(spawn(_tunnelkeeper(home, "up"), home / LOG, _environment(home)))
        yield Supervisor(programs, home)


@contextmanager
def _ssh_each(
    lab: Lab,
    home: Path,
    tunnels: Sequence[Tunnel],
    command: list[str],
    ciphers: str,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Client]:
    """Run one ssh or autossh process for each tunnel."""
    config = home / "ssh_config"
    config.write_text(ssh_config(lab.login, ciphers))
    full_environment = {**os.environ, **environment}
    programs: list[Popen[bytes]] = []
    with ended(programs):
        for tunnel in tunnels:
            arguments = [*command, *ssh_arguments(tunnel, config)]
            programs.append(spawn(arguments, home / LOG, full_environment))
        yield Client(programs, tunnels, home / LOG)


@contextmanager
def _masters(lab: Lab, home: Path, tunnels: Sequence[Tunnel]) -> Iterator[Client]:
    """Run a ControlMaster for each tunnel, and add its forwards with `ssh -O forward`."""
    config = home / "ssh_config"
    config.write_text(ssh_config(lab.login, AES_GCM))
    ssh = program("ssh")
    programs: list[Popen[bytes]] = []
    with ended(programs):
        for number, tunnel in enumerate(tunnels):
            socket = home / f"master-{number}"
            arguments = master_arguments(tunnel, config, socket)
            programs.append(spawn([ssh, *arguments], home / LOG))
            # ssh creates the socket after the login.
            wait_until(socket.exists, MASTER_WITHIN, "an ssh master has logged in")
            run(ssh, *forward_request(tunnel, config, socket))
        yield Client(programs, tunnels, home / LOG)


@contextmanager
def _forwarders(lab: Lab, home: Path, tunnels: Sequence[Tunnel]) -> Iterator[Client]:
    """Run the forwarder on Go's SSH library for each tunnel."""
    forwarder = lab.directory / go_forwarder.NAME
    programs: list[Popen[bytes]] = []
    with ended(programs):
        for tunnel in tunnels:
            arguments = go_forwarder.arguments(lab.login, tunnel)
            programs.append(spawn([str(forwarder), *arguments], home / LOG))
        yield Client(programs, tunnels, home / LOG)


_NOT_PASSED = {
    "TUNNELKEEPER_CONFIG",
    "TUNNELKEEPER_SOCKET",
    "SSH_AUTH_SOCK",
    "PYTHONDONTWRITEBYTECODE",  # each start would compile the program, unlike an installed one
}


def _tunnelkeeper(home: Path, *arguments: str) -> list[str]:
    files = ["--config", str(home / CONFIG), "--socket", str(home / SOCKET)]
    return [sys.executable, "-m", "tunnelkeeper", *files, *arguments]


def _environment(home: Path) -> dict[str, str]:
    """Return an environment without the user's own settings; debugging switches stay."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED}
    folders = {name: str(home) for name in ("HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")}
    return kept | folders | {"PYTHONPATH": str(SOURCE)}
