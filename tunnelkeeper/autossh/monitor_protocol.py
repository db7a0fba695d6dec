"""The monitoring loop of -M: its forwards, timing and message. It opens nothing.

autossh(1) sends a line through the connection and expects the same line back, through a remote
forward to another port or from an echo service on the server.
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
"""Seconds to accept the returning connection, and to receive the message. autossh.c lowers it for
frequent polls."""
SHORT_POLL = 30.0
ATTEMPTS = 2
"""Attempts before the loop counts as broken."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The timing of probes, in seconds.

    first: from a connection's start to the first probe. poll: between two probes. timeout: of each
    step of a probe.
    """

    first: float
    poll: float
    timeout: float


def timing_from_settings(settings: Settings) -> Timing:
    """Return the timing that the environment requests, limited by AUTOSSH_MAXLIFETIME."""
    max_lifetime = float(settings.max_lifetime) or inf
    poll = min(float(settings.poll), max_lifetime)
    first = min(float(settings.first_poll or poll), max_lifetime)
    return Timing(first, poll, poll / 2 if poll < SHORT_POLL else NET_TIMEOUT)


def timing_note(settings: Settings) -> str | None:
    """Return what autossh logs if frequent polls shorten the timeout."""
    timeout = timing_from_settings(settings).timeout
    if timeout >= NET_TIMEOUT:
        return None
    return f"short poll time: adjusting net timeouts to {timeout * 1000:.0f}"


def loop_forwards(monitor: Monitor) -> tuple[Forward, ...]:
    """Return the forwards that form the loop."""
    here = TcpAddress(LOCALHOST, monitor.port)
    if monitor.echo_port is not None:
        return (LocalForward(here, TcpAddress(LOCALHOST, monitor.echo_port)),)
    back = TcpAddress(LOCALHOST, monitor.port + 1)
    return (LocalForward(here, here), RemoteForward(here, back))


def format_message(node: str, pid: int, number: int, text: str) -> bytes:
    """Return the line to send: its sender, a random number, and AUTOSSH_MESSAGE."""
    return f"{node} autossh {pid} {number} {text}\r\n".encode(errors="surrogateescape")
