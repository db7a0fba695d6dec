"""Checks of the supervisor: whether it runs, what it reports, and its socket."""

from __future__ import annotations

import os
import shlex
import stat
from typing import TYPE_CHECKING

import tunnelkeeper
from tunnelkeeper.core.diagnosis import Result, Status, Subject
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.file_trust import find_distrust, remedy
from tunnelkeeper.presentation.tunnel_text import first_failure
from tunnelkeeper.systemd import unit_templates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tunnelkeeper.core.snapshot import TunnelSnapshot
    from tunnelkeeper.doctor.context import Context, Machine

PATH_LIMIT = 4096

POST_QUANTUM_HINT = (
    "OpenSSH 9.9 or later on the server; with 9.0 to 9.8, the library liboqs on this machine"
)


async def check_supervisor(context: Context) -> Iterable[Result]:
    """Check that a supervisor answered, unless there is nothing to hold."""
    machine = context.machine
    if machine.status is not None:
        return []
    if not any(tunnel.autostart for tunnel in context.configuration.tunnels.values()):
        return [Result(Status.INFO, f"{machine.no_status.text}; no tunnel starts by itself")]
    return [Result(Status.FAILED, machine.no_status.text, machine.no_status.hint)]


async def check_control_socket(context: Context) -> Iterable[Result]:
    """Check who may use the control socket, and who could replace it."""
    path = context.machine.socket
    try:
        status = path.lstat()
        distrust = find_distrust(path.parent)
    except OSError:
        return []  # there is none yet
    if distrust is not None:
        text = f"another user could replace the control socket: {distrust}"
        return [Result(Status.FAILED, text, remedy(distrust))]
    if stat.S_ISSOCK(status.st_mode) and status.st_mode & 0o077 and status.st_uid == os.geteuid():
        where = printable(str(path), PATH_LIMIT)
        text = f"{where} has mode {stat.S_IMODE(status.st_mode):04o}, so other users may connect"
        return [Result(Status.WARNING, text, f"chmod 600 {shlex.quote(where)}")]
    return []


async def check_version(context: Context) -> Iterable[Result]:
    """Compare the version of the supervisor with the one that is installed."""
    status = context.machine.status
    if status is None or status.supervisor.version == tunnelkeeper.__version__:
        return []
    running = printable(status.supervisor.version)
    text = f"the supervisor has version {running}, and {tunnelkeeper.__version__} is installed"
    return [Result(Status.WARNING, text, _restart_command(context.machine))]


async def check_reload(context: Context) -> Iterable[Result]:
    """Check that the supervisor has read the last version of the config file."""
    status = context.machine.status
    if status is None or not status.supervisor.config_changed:
        return []
    text = f"{printable(str(context.machine.config), PATH_LIMIT)} has changed and is not applied"
    return [Result(Status.WARNING, text, "tunnelkeeper reload")]


async def check_key_exchange(context: Context) -> Iterable[Result]:
    """Report each connected server whose key exchange is not post-quantum."""
    status = context.machine.status
    weak: dict[tuple[str, str], list[str]] = {}
    for tunnel in status.tunnels if status is not None else ():
        for hop in tunnel.hops if tunnel.name in context.tunnels else ():
            if hop.connected and hop.key_exchange is not None and not hop.post_quantum:
                weak.setdefault((hop.host, hop.key_exchange), []).append(tunnel.name)
    return [
        Result(
            Status.INFO,
            printable(f"{host} uses {name}, so recorded traffic may be decrypted in the future"),
            POST_QUANTUM_HINT,
            Subject(tuple(names), host),
        )
        for (host, name), names in weak.items()
    ]


async def check_tunnels(context: Context) -> Iterable[Result]:
    """Report each tunnel that should be up and is not, with its failure."""
    status = context.machine.status
    if status is None:
        return []
    return [
        result
        for tunnel in status.tunnels
        if tunnel.name in context.tunnels
        for result in _tunnel_results(tunnel)
    ]


def _tunnel_results(tunnel: TunnelSnapshot) -> Iterator[Result]:
    subject = Subject((tunnel.name,))
    name = printable(tunnel.name)
    if tunnel.wanted and tunnel.state == "stopped":
        yield Result(Status.FAILED, f"{name} is stopped", f"tunnelkeeper up {name}", subject)
    elif not tunnel.wanted or tunnel.state == "up":
        return
    elif (failure := first_failure(tunnel)) is None:
        yield Result(Status.INFO, f"{name} is {tunnel.state}", subject=subject)
    else:
        where = f" at {failure.hop}" if failure.hop else ""
        text = printable(f"{name}: {failure.cause}{where}: {failure.message}", 1000)
        subject = Subject(subject.tunnels, failure.hop)
        yield Result(Status.FAILED, text, printable(failure.hint, 1000), subject)


def _restart_command(machine: Machine) -> str:
    if (machine.units / unit_templates.SUPERVISOR).exists():
        return f"systemctl --user restart {unit_templates.SUPERVISOR.removesuffix('.service')}"
    return "tunnelkeeper down && tunnelkeeper up --detach"
