"""Runs the contenders through their command lines, and ends them again; measures nothing.

A contender that runs says which processes are its client side, and where a forward is entered.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from benchmarks.processes import Unable, ended, family, listens, program, run, spawn, wait_until
from benchmarks.rows import Against
from benchmarks.tunnels import ssh_arguments, ssh_config, tunnelkeeper_config
from tunnelkeeper.core.snapshot import StatusSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from subprocess import Popen

    from benchmarks.lab import Lab
    from benchmarks.tunnels import Forward, Tunnel

SOURCE = Path(__file__).resolve().parent.parent
READY_WITHIN = 120.0  # seconds: a thousand tunnels on a slow machine
CONFIG, SOCKET, LOG = "tunnels.toml", "control.sock", "log"
CIPHERS = {Against.SSH_GCM: "aes128-gcm@openssh.com"}  # what tunnelkeeper takes by itself


class Client:
    """The client side of one contender."""

    def __init__(
        self, programs: Sequence[Popen[bytes]], tunnels: Sequence[Tunnel], log: Path
    ) -> None:
        self.programs = programs
        self.log = log
        self._ahead = [forward.listen for tunnel in tunnels for forward in tunnel.forwards]

    def pids(self) -> list[int]:
        """Its processes, and those that they have started."""
        return family(each.pid for each in self.programs)

    def entry(self, forward: Forward) -> int:
        """The port that a client of the forward connects to."""
        return forward.listen

    def is_up(self) -> bool:
        """Whether every forward listens; only then does ssh."""
        while self._ahead and listens(self._ahead[-1]):
            self._ahead.pop()
        return not self._ahead

    def wait_until_up(self) -> None:
        """Return when every tunnel is up. Raises Unable when one is not in time."""
        wait_until(lambda: self.is_up() or self._has_ended(), READY_WITHIN, "all tunnels are up")
        if self._has_ended():
            lines = self.log.read_text(errors="backslashreplace").splitlines()
            raise Unable("\n".join(["a contender ended before its time:", *lines[-10:]]))

    def _has_ended(self) -> bool:
        return any(each.poll() is not None for each in self.programs)


class Supervisor(Client):
    """A running `tunnelkeeper up`, asked through `tunnelkeeper status`."""

    def __init__(self, programs: Sequence[Popen[bytes]], home: Path) -> None:
        super().__init__(programs, (), home / LOG)
        self._home = home

    @property
    def pid(self) -> int:
        """The supervisor's process."""
        return self.programs[0].pid

    def is_up(self) -> bool:
        """Whether it says so of every tunnel."""
        if not (self._home / SOCKET).exists():
            return False
        return all(tunnel.state == "up" for tunnel in self.status().tunnels)

    def status(self) -> StatusSnapshot:
        """What it says now."""
        command = _tunnelkeeper(self._home, "status", "--json")
        said = run(*command, environment=_environment(self._home), codes=(0, 1))
        return msgspec.json.decode(said, type=StatusSnapshot)


class NoTunnel(Client):
    """Nothing between client and service: what the load generators reach alone."""

    def entry(self, forward: Forward) -> int:
        """The service's own port."""
        return forward.connect


@contextmanager
def opened(lab: Lab, name: Against, tunnels: Sequence[Tunnel]) -> Iterator[Client]:
    """A contender with all tunnels up; it is ended when the block is left."""
    with started(lab, name, tunnels) as client:
        client.wait_until_up()
        yield client


@contextmanager
def started(lab: Lab, name: Against, tunnels: Sequence[Tunnel]) -> Iterator[Client]:
    """The same without waiting for anything."""
    home = lab.subdirectory("contender")
    match name:
        case Against.TUNNELKEEPER:
            with _supervisor(lab, home, tunnels) as client:
                yield client
        case Against.NO_TUNNEL:
            yield NoTunnel((), (), home / LOG)
        case Against.SSH | Against.SSH_GCM:
            with _ssh_each(lab, home, tunnels, [program("ssh")], CIPHERS.get(name, "")) as client:
                yield client
        case Against.AUTOSSH:
            # -M 0: no monitoring port, as units run it; the gate time would end what fails at once.
            environment = {"AUTOSSH_PATH": program("ssh"), "AUTOSSH_GATETIME": "0"}
            command = [program("autossh"), "-M", "0"]
            with _ssh_each(lab, home, tunnels, command, "", environment) as client:
                yield client


@contextmanager
def supervisor(lab: Lab, tunnels: Sequence[Tunnel]) -> Iterator[Supervisor]:
    """A tunnelkeeper with all tunnels up."""
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
    """A process of ssh, or of what starts it, for each tunnel."""
    config = home / "ssh_config"
    config.write_text(ssh_config(lab.login, ciphers))
    surroundings = {**os.environ, **environment}
    programs: list[Popen[bytes]] = []
    with ended(programs):
        for tunnel in tunnels:
            words = [*command, *ssh_arguments(tunnel, config)]
            programs.append(spawn(words, home / LOG, surroundings))
        yield Client(programs, tunnels, home / LOG)


def _tunnelkeeper(home: Path, *arguments: str) -> list[str]:
    files = ["--config", str(home / CONFIG), "--socket", str(home / SOCKET)]
    return [sys.executable, "-m", "tunnelkeeper", *files, *arguments]


def _environment(home: Path) -> dict[str, str]:
    """What the user's own set-up says stays out; only the switches of what is measured count."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"TUNNELKEEPER_CONFIG", "TUNNELKEEPER_SOCKET", "SSH_AUTH_SOCK"}
    }
    places = {name: str(home) for name in ("HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")}
    return kept | places | {"PYTHONPATH": str(SOURCE)}
