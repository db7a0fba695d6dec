"""Checks of this machine: its clock, its disk, its limits and its ssh."""

from __future__ import annotations

import asyncio
import os
import resource
import shlex
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.diagnosis import Result, Status, Subject
from tunnelkeeper.core.host_spec import parse_host_spec
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.fd_limits import RESERVE
from tunnelkeeper.presentation.formatting import format_size
from tunnelkeeper.sshconfig.lookup import source_for
from tunnelkeeper.sshconfig.lookup_request import Request
from tunnelkeeper.sshconfig.ssh_g import obstacle_to_ssh, verbose_command

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tunnelkeeper.doctor.context import Context

RELEASED = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
"""A time before the release of this version. A clock that is behind it has not been set."""

CLOCK_TOLERANCE = 24 * 3600.0
"""Seconds by which a file may be newer than the clock: copies keep times of other machines."""

LOW_SPACE = 1024 * 1024
"""Bytes. The log, known_hosts and a rewritten config file need no more at a time."""

SLOW_LOOKUP = 1.0
"""Seconds for the lookups of a chain. `ssh -G` usually takes 10 ms for a hop."""

DESCRIPTORS_PER_TUNNEL = 4
DESCRIPTORS_PER_FORWARD = 2
"""Open files of a tunnel and of a listener: its connection, its agent and known_hosts while it logs
in; a socket for 127.0.0.1 and one for ::1."""

CLIENTS = 256
"""Clients of forwards, with a descriptor each, that a limit should leave room for."""


async def check_clock(context: Context) -> Iterable[Result]:
    """Compare the clock with the release of this version, and with the config file."""
    now = time.time()
    shown = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M UTC")
    remedy = _command_or(
        "sudo timedatectl set-ntp true", "set the clock of this machine, best by NTP"
    )
    if now < RELEASED:
        text = f"the clock says {shown}, which is before this version was released"
        return [Result(Status.FAILED, f"{text}; certificates and logs need the right time", remedy)]
    try:
        status = await asyncio.to_thread(context.machine.config.stat)
        ahead = status.st_mtime - now
    except OSError:
        return []
    if ahead <= CLOCK_TOLERANCE:
        return []
    text = f"the clock says {shown}, but the config file was changed after that"
    return [Result(Status.WARNING, text, remedy)]


async def check_disk(context: Context) -> Iterable[Result]:
    """Check that files can be written where the program and ssh keep theirs."""
    folders = [context.machine.config.parent, context.machine.state_folder]
    folders.append(Path(context.machine.facts.home) / ".ssh")
    return await asyncio.to_thread(lambda: list(_full_disks(folders)))


def _full_disks(folders: Iterable[Path]) -> Iterator[Result]:
    reported: set[int] = set()
    for wanted in folders:
        try:
            folder = _existing(wanted)
            device = folder.stat().st_dev
            found = os.statvfs(folder)
        except OSError:
            continue
        # An image has no free block, and some file systems of FUSE report no size.
        if device in reported or found.f_flag & os.ST_RDONLY or not found.f_blocks:
            continue
        reported.add(device)
        free = found.f_bavail * found.f_frsize
        where = printable(str(folder))
        if free < LOW_SPACE:
            text = f"the disk of {where} is full: {format_size(free)} are free"
            yield Result(Status.FAILED, text, f"df -h {shlex.quote(where)}")
        elif found.f_files and not found.f_favail:
            text = f"the disk of {where} has no free inode, so no file can be created"
            yield Result(Status.FAILED, text, f"df -i {shlex.quote(where)}")


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists. Raises OSError."""
    return next(each for each in (folder, *folder.parents) if each.exists())


async def check_open_files(context: Context) -> Iterable[Result]:
    """Compare the limit of open files with what the tunnels and some clients need."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    tunnels = context.configuration.tunnels.values()
    needed = RESERVE + DESCRIPTORS_PER_TUNNEL * len(tunnels)
    needed += DESCRIPTORS_PER_FORWARD * sum(len(tunnel.forwards) for tunnel in tunnels)
    if hard in {resource.RLIM_INFINITY, -1} or hard >= needed + CLIENTS:
        return []
    remedy = "raise it: LimitNOFILE= in the unit, `ulimit -Hn` in a shell as root"
    if hard < needed:
        text = f"the limit of open files is {hard}, and the tunnels alone need about {needed}"
        return [Result(Status.FAILED, text, remedy)]
    text = f"the limit of open files is {hard}, which leaves room for {hard - needed} clients"
    return [Result(Status.WARNING, text, remedy)]


async def check_ssh_command(context: Context) -> Iterable[Result]:
    """Report that ssh is missing, and lookups that take long. `config` reports those that fail."""
    results = []
    if (obstacle := obstacle_to_ssh(context.machine.facts)) is not None:
        text = f"{obstacle}; ssh_config is read without it, except for two rare features"
        remedy = _command_or("sudo apt install openssh-client", "install OpenSSH's client")
        results.append(Result(Status.INFO, text, remedy))
    slowest, name = max(
        ((found.seconds, name) for name, found in context.lookups.items()), default=(0.0, "")
    )
    if slowest > SLOW_LOOKUP:
        host = context.tunnels[name].host
        text = f"looking {host} up takes {slowest:.1f} s: `Match exec` or a name server is slow"
        spec = parse_host_spec(host)
        request = Request(
            spec.host,
            spec.user,
            spec.port,
            source_for(context.configuration, context.machine.facts),
        )
        results.append(Result(Status.WARNING, text, verbose_command(request), Subject((name,))))
    return results


def _command_or(command: str, sentence: str) -> str:
    """Return the command if this machine has its program, or else the sentence."""
    program = command.removeprefix("sudo ").partition(" ")[0]
    return command if shutil.which(program) else sentence
