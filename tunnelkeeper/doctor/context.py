"""What the checks of one run look at: the config file, its hosts and the supervisor's status.

It is gathered once. It connects to nothing but the control socket.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.config import ConfigError, load
from tunnelkeeper.core.configuration import Configuration, Host, Tunnel
from tunnelkeeper.core.diagnosis import Subject
from tunnelkeeper.core.message import Message
from tunnelkeeper.sshconfig import SshConfigError, gather_facts
from tunnelkeeper.tunnel.context import lookup_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tunnelkeeper.core.snapshot import StatusSnapshot
    from tunnelkeeper.sshconfig import Facts, HostLookup


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the checks look.

    socket: the control socket of this config file's supervisor. state_folder: the folder of the
    log. units: the folder of this user's systemd units. environment: of this process.
    status: what the supervisor reports; None if it was not reached, and then no_status is the
    reason. root: the root folder.
    """

    config: Path
    socket: Path
    state_folder: Path
    units: Path
    environment: Mapping[str, str]
    status: StatusSnapshot | None = None
    no_status: Message = field(default_factory=lambda: Message(""))
    facts: Facts = field(default_factory=gather_facts)
    root: Path = field(default_factory=lambda: Path("/"))


@dataclass(frozen=True, slots=True)
class Lookup:
    """The hosts of a tunnel's chain, or why they could not be looked up. seconds: how long."""

    hosts: tuple[Host, ...] = ()
    error: SshConfigError | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class Context:
    """The subject of one run. tunnels: those that were named, by name; all if none was.

    configuration: empty if the file cannot be used. lookups: by the name of the tunnel.
    lookup: what made them, for checks that look the same hosts up.
    """

    machine: Machine
    configuration: Configuration
    tunnels: dict[str, Tunnel]
    lookups: dict[str, Lookup] = field(default_factory=dict)
    lookup: HostLookup | None = None

    def hops(self) -> Iterator[tuple[Host, Subject]]:
        """Yield each host once, with the tunnels whose chain it is in."""
        users: dict[Host, list[str]] = {}
        for name, lookup in self.lookups.items():
            for host in lookup.hosts:
                users.setdefault(host, []).append(name)
        for host, names in users.items():
            yield host, Subject(tuple(names), str(host))


async def gather(machine: Machine, names: tuple[str, ...]) -> Context:
    """Read the config file and look every host up. names: of tunnels; empty for all.

    Raises KeyError with a name that is no tunnel's.
    """
    try:
        configuration = load(str(machine.config))
    except ConfigError:  # a check of its own reports it
        return Context(machine, Configuration(str(machine.config)), {})
    tunnels = {name: configuration.tunnels[name] for name in names or configuration.tunnels}
    lookup = lookup_for(configuration)
    context = Context(machine, configuration, tunnels, lookup=lookup)

    async def look_up(tunnel: Tunnel) -> Lookup:
        started = time.monotonic()
        try:
            hosts = await lookup.resolve(tunnel)
        except SshConfigError as error:
            return Lookup((), error, time.monotonic() - started)
        return Lookup(hosts, None, time.monotonic() - started)

    found = await asyncio.gather(*map(look_up, tunnels.values()))
    context.lookups = dict(zip(tunnels, found, strict=True))
    return context
