"""The faults of a soak run: each is a context that lasts as long as the fault.

A fault of a linked server affects only the tunnels through it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from math import inf
from resource import RLIMIT_NOFILE
from signal import SIGCONT, SIGSTOP
from typing import TYPE_CHECKING

import psutil

from tests.e2e.ports import free_port
from tests.e2e.sandbox import tunnel_table
from tests.faults.link import BOTH
from tests.faults.soak.judge import Exemption
from tests.faults.status_watcher import SUBSCRIBE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from tests.faults.soak.environment import Environment, LinkedServer

SLOW = 100_000.0
"""Bytes a second of a slow link: the largest ping takes a third of a second each way."""

DELAY = 0.2
"""Seconds by which a slow link delays every byte, each way."""

DESCRIPTORS_LEFT = 2

Act = Callable[["Environment", "LinkedServer", "Random"], AbstractContextManager[None]]
ActOnSupervisor = Callable[["Environment", "Random"], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a linked server."""

    name: str
    act: Act


@dataclass(frozen=True, slots=True)
class SupervisorFault:
    """A fault of the supervisor, or a command to it.

    affects_all: no endpoint has to carry data. false_up, no_answers: as in Exemption.
    """

    name: str
    act: ActOnSupervisor
    affects_all: bool = False
    false_up: bool = False
    no_answers: bool = False
    kills_supervisor: bool = False

    def exemption(self, all_endpoints: frozenset[str]) -> Exemption:
        """Return the checks that are suspended during the fault."""
        return Exemption(
            all_endpoints if self.affects_all else frozenset(), self.false_up, self.no_answers
        )


# -- the network -------------------------------------------------------------------------------


@contextmanager
def black_hole(_environment: Environment, target: LinkedServer, _rng: Random) -> Iterator[None]:
    target.link.hold()
    try:
        yield
    finally:
        target.link.resume()


@contextmanager
def black_hole_one_way(
    _environment: Environment, target: LinkedServer, rng: Random
) -> Iterator[None]:
    target.link.hold(rng.choice(BOTH))
    try:
        yield
    finally:
        target.link.resume()


@contextmanager
def nat_state_lost(_environment: Environment, target: LinkedServer, _rng: Random) -> Iterator[None]:
    target.link.forget_connections()
    yield


@contextmanager
def slow_link(_environment: Environment, target: LinkedServer, _rng: Random) -> Iterator[None]:
    target.link.slow_down(SLOW, DELAY)
    try:
        yield
    finally:
        target.link.slow_down(inf)


@contextmanager
def reset(_environment: Environment, target: LinkedServer, _rng: Random) -> Iterator[None]:
    target.link.reset()
    yield


@contextmanager
def clean_close(_environment: Environment, target: LinkedServer, _rng: Random) -> Iterator[None]:
    target.link.close()
    yield


@contextmanager
def refused(_environment: Environment, target: LinkedServer, _rng: Random) -> Iterator[None]:
    target.link.stop_listening()
    target.link.reset()
    try:
        yield
    finally:
        target.link.listen()


@contextmanager
def impostor(environment: Environment, target: LinkedServer, rng: Random) -> Iterator[None]:
    target.link.redirect_to(rng.choice(environment.impostors))
    target.link.reset()
    try:
        yield
    finally:
        target.link.redirect_to(target.port)
        target.link.reset()


# -- the servers -------------------------------------------------------------------------------


@contextmanager
def server_killed(_environment: Environment, target: LinkedServer, _rng: Random) -> Iterator[None]:
    target.process.kill()
    try:
        yield
    finally:
        target.process.start()


@contextmanager
def server_stopped(_environment: Environment, target: LinkedServer, _rng: Random) -> Iterator[None]:
    target.process.suspend()
    try:
        yield
    finally:
        target.process.resume()


@contextmanager
def session_killed(_environment: Environment, target: LinkedServer, rng: Random) -> Iterator[None]:
    position = rng.random()
    if sessions := sorted(target.process.sessions()):
        with suppress(psutil.NoSuchProcess):  # it has ended by itself, with the same effect
            psutil.Process(sessions[int(position * len(sessions))]).kill()
    yield


# -- the supervisor ----------------------------------------------------------------------------

_numbers = count(1)


@contextmanager
def reload(environment: Environment, _rng: Random) -> Iterator[None]:
    name = f"extra-{next(_numbers)}"
    extra = tunnel_table(name, free_port(), f'socks = "{free_port()}"', "autostart = false")
    environment.program.write_config(environment.config(extra))
    environment.program.call("reload")
    try:
        yield
    finally:
        environment.program.write_config(environment.config())
        environment.program.call("reload")


@contextmanager
def restart(environment: Environment, rng: Random) -> Iterator[None]:
    names = [endpoint.tunnel for endpoint in environment.endpoints]
    environment.program.call("restart", names=rng.sample(names, rng.randint(1, len(names))))
    yield


@contextmanager
def graceful_restart(environment: Environment, rng: Random) -> Iterator[None]:
    names = [endpoint.tunnel for endpoint in environment.endpoints]
    chosen = rng.sample(names, rng.randint(1, len(names)))
    environment.program.call("restart", names=chosen, graceful=True)
    yield


@contextmanager
def stopped_process(environment: Environment, _rng: Random) -> Iterator[None]:
    environment.program.send_signal(SIGSTOP)
    try:
        yield
    finally:
        environment.program.send_signal(SIGCONT)


@contextmanager
def few_descriptors(environment: Environment, _rng: Random) -> Iterator[None]:
    supervisor = psutil.Process(environment.pid)
    limits = supervisor.rlimit(RLIMIT_NOFILE)
    supervisor.rlimit(RLIMIT_NOFILE, (supervisor.num_fds() + DESCRIPTORS_LEFT, limits[1]))
    try:
        yield
    finally:
        supervisor.rlimit(RLIMIT_NOFILE, limits)


@contextmanager
def control_client_that_never_reads(environment: Environment, _rng: Random) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(environment.program.socket))
        client.sendall(SUBSCRIBE)
        yield


@contextmanager
def killed_supervisor(environment: Environment, _rng: Random) -> Iterator[None]:
    environment.program.kill()
    try:
        yield
    finally:
        environment.start()


FAULTS = (
    Fault("black hole", black_hole),
    Fault("black hole one way", black_hole_one_way),
    Fault("connections forgotten by a NAT", nat_state_lost),
    Fault("slow link", slow_link),
    Fault("connections reset", reset),
    Fault("connections closed", clean_close),
    Fault("connections refused", refused),
    Fault("another server answers", impostor),
    Fault("server killed, and started", server_killed),
    Fault("server stopped, and continued", server_stopped),
    Fault("a session of the server killed", session_killed),
)
SUPERVISOR_FAULTS = (
    SupervisorFault("file changed and reloaded", reload),
    SupervisorFault("tunnels restarted", restart, affects_all=True),
    SupervisorFault("tunnels restarted gracefully", graceful_restart),
    SupervisorFault(
        "supervisor stopped, and continued", stopped_process, affects_all=True, no_answers=True
    ),
    SupervisorFault("descriptors limited", few_descriptors, affects_all=True, false_up=True),
    SupervisorFault("control client that never reads", control_client_that_never_reads),
    SupervisorFault(
        "supervisor killed, and started",
        killed_supervisor,
        affects_all=True,
        no_answers=True,
        kills_supervisor=True,
    ),
)
