"""Limits of a tunnel under load: memory, open files, and the CPU time when idle.

Each check starts and stops its own tunnelkeeper; ssh is not measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.accounting import cpu_seconds, peak_bytes, reset_peak, resident_bytes
from benchmarks.clients import connected, ping, visits
from benchmarks.contenders import Supervisor, supervisor
from benchmarks.measures import starting
from benchmarks.measures.fleets import fleet
from benchmarks.processes import free_ports, wait_until
from benchmarks.report import Check
from benchmarks.services import BLOCK, deaf, echo, serving, source, unaccepting
from benchmarks.tunnels import Forward, Tunnel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from socket import socket

    from benchmarks.lab import Lab
    from benchmarks.scale import Scale

Checking = Callable[["Lab", "Scale"], list[Check]]

WARM_UP = 1000  # connections until pools and caches have their final size
STALLED = 2.0  # seconds without progress after which a sender counts as blocked
SETTLING = 1.0  # seconds after startup that are not measured


def open_channels(lab: Lab, scale: Scale) -> list[Check]:
    """Check thousands of concurrent connections.

    sshd iterates over all its channels for each packet, so the last connections are slow.
    """
    with (
        serving(echo) as target,
        _tunnel_to(lab, target) as (running, [port]),
        ExitStack() as stack,
    ):
        idle = _idle(running)
        for _ in range(scale.channels):
            ping(stack.enter_context(connected(port)))
        grown = _growth(running, idle)
    return [Check("channels", grown, f"{scale.channels} connections")]


def stuck_readers(lab: Lab, scale: Scale) -> list[Check]:
    """Check a client that never reads, and a target that never reads."""
    with (
        serving(source) as endless,
        serving(deaf) as never,
        _tunnel_to(lab, endless, never) as (running, [unread, unheard]),
        connected(unread),
        connected(unheard) as sender,
    ):
        idle = _idle(running)
        sent = _send_until_held_back(sender, limit=1 << 40)
        time.sleep(scale.stuck)
        grown = _growth(running, idle)
    return [Check("stuck-readers", grown, f"{scale.stuck:.0f} s, {sent / 1e6:.0f} MB sent in vain")]


def early_data(lab: Lab, scale: Scale) -> list[Check]:
    """Check a client that sends while the server is still connecting to the target."""
    limit = scale.early_megabytes * 1_000_000
    with (
        unaccepting() as target,
        _tunnel_to(lab, target) as (running, [port]),
        connected(port) as sender,
    ):
        idle = _idle(running)
        taken = _send_until_held_back(sender, limit)
        grown = _growth(running, idle)
    detail = f"{scale.early_megabytes} MB offered, {taken / 1e6:.0f} MB taken"
    return [Check("early-data", grown, detail)]


def churn(lab: Lab, scale: Scale) -> list[Check]:
    """Check thousands of connections, opened and closed after a warm-up."""
    with serving(echo) as target, _tunnel_to(lab, target) as (running, [port]):
        _visit(port, WARM_UP)
        before, files = resident_bytes(running.pid), _settled_files(running)
        _visit(port, scale.churn)
        more_files = _settled_files(running) - files
        grown = (resident_bytes(running.pid) - before) / 1e6
    detail = f"{scale.churn} connections"
    return [Check("churn-memory", grown, detail), Check("churn-files", more_files, detail)]


def idle(lab: Lab, scale: Scale) -> list[Check]:
    """Check tunnels that carry only keepalives."""
    count = scale.idle_tunnels
    with serving(echo) as target, supervisor(lab, fleet(lab, count, target)) as running:
        time.sleep(SETTLING)
        before = cpu_seconds([running.pid])
        time.sleep(scale.idle)
        used = cpu_seconds([running.pid]) - before
    return [Check("idle", used / scale.idle * 100, f"{count} tunnels for {scale.idle:.0f} s")]


CHECKS: dict[str, Checking] = {
    "channels": open_channels,
    "stuck-readers": stuck_readers,
    "early-data": early_data,
    "churn-memory": churn,
    "churn-files": churn,
    "idle": idle,
    "start-command": starting.commands,
    "start-tunnel": starting.first_tunnels,
}
"""The check that measures each limit, by its key."""


@contextmanager
def _tunnel_to(lab: Lab, *targets: int) -> Iterator[tuple[Supervisor, list[int]]]:
    """Run tunnelkeeper with one tunnel; yield it and its ports for the targets."""
    ports = free_ports(len(targets))
    forwards = [Forward("local", *ends) for ends in zip(ports, targets, strict=True)]
    with supervisor(lab, [Tunnel(tuple(forwards), lab.port)]) as running:
        yield running, ports


def _idle(running: Supervisor) -> int:
    reset_peak(running.pid)
    return resident_bytes(running.pid)


def _growth(running: Supervisor, since: int) -> float:
    """Return by how many MB the peak exceeds an earlier value."""
    return (peak_bytes(running.pid) - since) / 1e6


def _send_until_held_back(sender: socket, limit: int) -> int:
    """Send until nothing is accepted for a while, or up to the limit; return the bytes sent."""
    block = memoryview(bytes(BLOCK))
    sent, progress = 0, time.monotonic()
    sender.setblocking(False)
    while sent < limit and time.monotonic() - progress < STALLED:
        try:
            sent += sender.send(block[: limit - sent])
        except BlockingIOError:
            time.sleep(0.01)
        else:
            progress = time.monotonic()
    return sent


def _visit(port: int, count: int) -> None:
    with closing(visits(port, at_once=10)) as done:
        for _ in islice(done, count):
            pass


def _settled_files(running: Supervisor) -> int:
    """Return the number of open files after all connections are closed."""

    def all_closed() -> bool:
        return all(tunnel.connections == 0 for tunnel in running.status().tunnels)

    wait_until(all_closed, within=30, what="all connections are closed")
    return len(list(Path(f"/proc/{running.pid}/fd").iterdir()))
