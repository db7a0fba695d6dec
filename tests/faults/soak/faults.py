"""What may happen in a soak run: each fault is a context, which begins and is over.

A fault of a place (a server and its link) hurts only the tunnels that pass it.
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
from tests.e2e.site import tunnel_table
from tests.faults.link import BOTH
from tests.faults.soak.judge import Excuse
from tests.faults.witness import SUBSCRIBE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from tests.faults.soak.stage import Place, Stage

SLOW = 100_000.0
"""Bytes a second of a slow link: the largest ping takes a third of a second, each way."""

LATE = 0.2
"""Seconds that every byte of it is late, each way."""

DESCRIPTORS_LEFT = 2

Act = Callable[["Stage", "Place", "Random"], AbstractContextManager[None]]
ActOnSupervisor = Callable[["Stage", "Random"], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a place."""

    name: str
    act: Act


@dataclass(frozen=True, slots=True)
class SupervisorFault:
    """A fault of the supervisor, or a command to it.

    hurts: every tunnel may carry nothing. lies, silence: see Excuse. renews: it kills the process.
    """

    name: str
    act: ActOnSupervisor
    hurts: bool = False
    lies: bool = False
    silence: bool = False
    renews: bool = False

    def excuse(self, everyone: frozenset[str]) -> Excuse:
        """Return what cannot be required during the fault."""
        return Excuse(everyone if self.hurts else frozenset(), self.lies, self.silence)


# -- the network -------------------------------------------------------------------------------


@contextmanager
def black_hole(_stage: Stage, place: Place, _chance: Random) -> Iterator[None]:
    place.link.hold()
    try:
        yield
    finally:
        place.link.go()


@contextmanager
def black_hole_one_way(_stage: Stage, place: Place, chance: Random) -> Iterator[None]:
    place.link.hold(chance.choice(BOTH))
    try:
        yield
    finally:
        place.link.go()


@contextmanager
def forgotten(_stage: Stage, place: Place, _chance: Random) -> Iterator[None]:
    place.link.forget()
    yield


@contextmanager
def slow_link(_stage: Stage, place: Place, _chance: Random) -> Iterator[None]:
    place.link.slow_down(SLOW, LATE)
    try:
        yield
    finally:
        place.link.slow_down(inf)


@contextmanager
def reset(_stage: Stage, place: Place, _chance: Random) -> Iterator[None]:
    place.link.reset()
    yield


@contextmanager
def clean_close(_stage: Stage, place: Place, _chance: Random) -> Iterator[None]:
    place.link.close()
    yield


@contextmanager
def refused(_stage: Stage, place: Place, _chance: Random) -> Iterator[None]:
    place.link.stop_listening()
    place.link.reset()
    try:
        yield
    finally:
        place.link.listen()


@contextmanager
def impostor(stage: Stage, place: Place, chance: Random) -> Iterator[None]:
    place.link.lead_to(chance.choice(stage.impostors))
    place.link.reset()
    try:
        yield
    finally:
        place.link.lead_to(place.port)
        place.link.reset()


# -- the servers -------------------------------------------------------------------------------


@contextmanager
def server_killed(_stage: Stage, place: Place, _chance: Random) -> Iterator[None]:
    place.server.kill()
    try:
        yield
    finally:
        place.server.start()


@contextmanager
def server_stopped(_stage: Stage, place: Place, _chance: Random) -> Iterator[None]:
    place.server.freeze()
    try:
        yield
    finally:
        place.server.thaw()


@contextmanager
def session_killed(_stage: Stage, place: Place, chance: Random) -> Iterator[None]:
    which = chance.random()
    if sessions := sorted(place.server.sessions()):
        with suppress(psutil.NoSuchProcess):  # it has ended by itself, which is the same
            psutil.Process(sessions[int(which * len(sessions))]).kill()
    yield


# -- the supervisor ----------------------------------------------------------------------------

_numbers = count(1)


@contextmanager
def reload(stage: Stage, _chance: Random) -> Iterator[None]:
    name = f"extra-{next(_numbers)}"
    extra = tunnel_table(name, free_port(), f'socks = "{free_port()}"', "autostart = false")
    stage.program.write_config(stage.config(extra))
    stage.program.call("reload")
    try:
        yield
    finally:
        stage.program.write_config(stage.config())
        stage.program.call("reload")


@contextmanager
def restart(stage: Stage, chance: Random) -> Iterator[None]:
    names = [entry.tunnel for entry in stage.entries]
    stage.program.call("restart", names=chance.sample(names, chance.randint(1, len(names))))
    yield


@contextmanager
def graceful_restart(stage: Stage, chance: Random) -> Iterator[None]:
    names = [entry.tunnel for entry in stage.entries]
    some = chance.sample(names, chance.randint(1, len(names)))
    stage.program.call("restart", names=some, graceful=True)
    yield


@contextmanager
def stopped_process(stage: Stage, _chance: Random) -> Iterator[None]:
    stage.program.send_signal(SIGSTOP)
    try:
        yield
    finally:
        stage.program.send_signal(SIGCONT)


@contextmanager
def few_descriptors(stage: Stage, _chance: Random) -> Iterator[None]:
    supervisor = psutil.Process(stage.pid)
    limits = supervisor.rlimit(RLIMIT_NOFILE)
    supervisor.rlimit(RLIMIT_NOFILE, (supervisor.num_fds() + DESCRIPTORS_LEFT, limits[1]))
    try:
        yield
    finally:
        supervisor.rlimit(RLIMIT_NOFILE, limits)


@contextmanager
def control_client_that_never_reads(stage: Stage, _chance: Random) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(stage.program.socket))
        client.sendall(SUBSCRIBE)
        yield


@contextmanager
def killed_supervisor(stage: Stage, _chance: Random) -> Iterator[None]:
    stage.program.kill()
    try:
        yield
    finally:
        stage.start()


FAULTS = (
    Fault("black hole", black_hole),
    Fault("black hole one way", black_hole_one_way),
    Fault("connections forgotten by a NAT", forgotten),
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
    SupervisorFault("tunnels restarted", restart, hurts=True),
    SupervisorFault("tunnels restarted gracefully", graceful_restart),
    SupervisorFault("supervisor stopped, and continued", stopped_process, hurts=True, silence=True),
    SupervisorFault("descriptors limited", few_descriptors, hurts=True, lies=True),
    SupervisorFault("control client that never reads", control_client_that_never_reads),
    SupervisorFault(
        "supervisor killed, and started", killed_supervisor, hurts=True, silence=True, renews=True
    ),
)
