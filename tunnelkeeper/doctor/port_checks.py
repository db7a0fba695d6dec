"""Checks of local ports, and of other programs that make the same forwards.

A port is tried by listening on it for a moment, and only if no supervisor holds it.
"""

from __future__ import annotations

import asyncio
import shlex
from itertools import chain
from typing import TYPE_CHECKING

from tunnelkeeper.autossh.ssh_command import CommandLineError
from tunnelkeeper.core.diagnosis import Result, Status, Subject
from tunnelkeeper.core.failures import Cause
from tunnelkeeper.core.forward_spec import (
    Forward,
    LocallyBoundForward,
    RemoteForward,
    RemoteSocksForward,
    TcpAddress,
    UnixAddress,
)
from tunnelkeeper.core.host_spec import parse_host_spec
from tunnelkeeper.core.text import printable
from tunnelkeeper.importing import found_setups
from tunnelkeeper.importing.convert import parse_command
from tunnelkeeper.importing.source_commands import SourceCommand, UnreadableError
from tunnelkeeper.net.bind_addresses import overlap
from tunnelkeeper.net.listener import ListenError, listen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tunnelkeeper.core.configuration import Tunnel
    from tunnelkeeper.doctor.context import Context
    from tunnelkeeper.importing.source_commands import Finding

TEXT_LIMIT = 1000
RUNNING = "running process"


async def check_local_ports(context: Context) -> Iterable[Result]:
    """Report the ports that cannot be bound, with the program that holds each."""
    status = context.machine.status
    if status is not None:
        return [
            _busy(tunnel.name, printable(failure.message, TEXT_LIMIT), printable(failure.hint))
            for tunnel in status.tunnels
            if tunnel.name in context.tunnels
            for forward in tunnel.forwards
            if (failure := forward.failure) is not None and failure.cause == Cause.LOCAL_PORT_BUSY
        ]
    results = []
    for name, tunnel in context.tunnels.items():
        for forward in tunnel.forwards:
            if isinstance(forward, LocallyBoundForward) and isinstance(forward.listen, TcpAddress):
                try:
                    (await listen(forward.listen, asyncio.Protocol)).close()
                except ListenError as error:
                    results.append(_busy(name, error.failure.message, error.failure.hint))
    return results


def _busy(tunnel: str, text: str, remedy: str) -> Result:
    return Result(Status.FAILED, f"{printable(tunnel)}: {text}", remedy, Subject((tunnel,)))


async def check_other_programs(context: Context) -> Iterable[Result]:
    """Report units, crontabs and running programs that make a configured forward."""
    machine = found_setups.Machine(
        context.machine.facts, context.machine.units, context.machine.root
    )

    def find() -> list[Finding]:
        running = (found_setups.find_running(machine, each) for each in ("autossh", "ssh"))
        units = found_setups.find_unit_commands(machine)
        return [*chain(*running), *units, *found_setups.find_crontab_commands(machine)]

    found = await asyncio.to_thread(find)
    sources = [each for each in found if isinstance(each, SourceCommand)]
    return list(_same_forwards(context.tunnels.values(), sources))


def _same_forwards(tunnels: Iterable[Tunnel], sources: Iterable[SourceCommand]) -> Iterator[Result]:
    """Yield a warning for each command that makes a forward of a tunnel."""
    tunnels = list(tunnels)
    running: set[tuple[Forward, ...]] = set()
    for source in sources:
        try:
            parsed = parse_command(source).ssh
            forwards = parsed.forwards
        except (UnreadableError, CommandLineError):
            continue
        if source.origin.startswith(RUNNING):
            if forwards in running:  # the ssh of an autossh, which ends with it
                continue
            running.add(forwards)
        same = {
            tunnel.name: f"{theirs}"
            for tunnel in tunnels
            for ours in tunnel.forwards
            for theirs in forwards
            if _is_same(ours, tunnel.host, theirs, parsed.host.host)
        }
        if same:
            names = ", ".join(same)
            forward = next(iter(same.values()))
            text = f"{source.origin} makes the forward {forward} of {names} too"
            yield Result(
                Status.WARNING, printable(text, TEXT_LIMIT), _remedy(source), Subject(tuple(same))
            )


def _is_same(ours: Forward, our_host: str, theirs: Forward, their_host: str) -> bool:
    """Return whether two forwards cannot exist at the same time.

    Local ones listen on the same address. Remote ones do so on a host of the same name.
    """
    if isinstance(ours, LocallyBoundForward) and isinstance(theirs, LocallyBoundForward):
        return overlap(ours.listen, theirs.listen)
    remote = RemoteForward | RemoteSocksForward
    if not (isinstance(ours, remote) and isinstance(theirs, remote)):
        return False
    if parse_host_spec(our_host).host != parse_host_spec(their_host).host:
        return False
    match ours.listen, theirs.listen:
        case TcpAddress(port=mine), TcpAddress(port=other):
            return mine == other != 0
        case UnixAddress(path=mine_path), UnixAddress(path=other_path):
            return mine_path == other_path
    return False


def _remedy(source: SourceCommand) -> str:
    """Return the command that ends another program for good."""
    kind, _, rest = source.origin.partition(" ")
    if source.origin.startswith(RUNNING):
        return f"kill {rest.rpartition(' ')[2]}"
    if ".service" in kind:
        scope = "systemctl --user" if "/user/" in rest or "/.config/" in rest else "sudo systemctl"
        return f"{scope} disable --now {shlex.quote(printable(kind))}"
    return "crontab -e" if "crontab -l" in source.origin else f"remove the line: {source.origin}"
