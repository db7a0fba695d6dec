"""The loop of -M: which forwards it takes, when it is tried, and what has to come back.

autossh(1) sends a line through the connection and expects the same line: by a second forward to a
port of its own, or from an echo service on the server. Nothing is opened here.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from tunnelkeeper.core.forward_spec import Forward, LocalForward, RemoteForward, TcpAddress

if TYPE_CHECKING:
    from tunnelkeeper.autossh.command_line import Monitor
    from tunnelkeeper.autossh.environment import Settings

LOCALHOST = "127.0.0.1"
NET_TIMEOUT = 15.0
"""Seconds for the way back, and for the message; autossh.c lowers it where polls are frequent."""
SHORT_POLL = 30.0
ATTEMPTS = 2
"""Times that the loop is tried before it counts as broken."""


@dataclass(frozen=True, slots=True)
class Timing:
    """When to probe, in seconds.

    first: from a connection's start to the first probe. poll: between two. patience: for each step.
    """

    first: float
    poll: float
    timeout: float


def timing_from_settings(settings: Settings) -> Timing:
    """What the environment asks for; no poll is longer than the program's life."""
    life = float(settings.max_lifetime) or inf
    poll = min(float(settings.poll), life)
    first = min(float(settings.first_poll or poll), life)
    return Timing(first, poll, poll / 2 if poll < SHORT_POLL else NET_TIMEOUT)


def loop_forwards(monitor: Monitor) -> tuple[Forward, ...]:
    """The forwards that make the loop."""
    here = TcpAddress(LOCALHOST, monitor.port)
    if monitor.echo_port is not None:
        return (LocalForward(here, TcpAddress(LOCALHOST, monitor.echo_port)),)
    back = TcpAddress(LOCALHOST, monitor.port + 1)
    return (LocalForward(here, here), RemoteForward(here, back))


def format_message(node: str, pid: int, number: int, text: str) -> bytes:
    """The line that goes round: whose it is, a number by chance, and AUTOSSH_MESSAGE."""
    return f"{node} autossh {pid} {number} {text}\r\n".encode(errors="surrogateescape")
