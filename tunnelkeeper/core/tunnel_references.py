"""References of tunnels to each other: by a port that one holds, or by a command that names it."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING

from tunnelkeeper.core.forward_spec import (
    EVERY_INTERFACE,
    LOOPBACK,
    LocallyBoundForward,
    TcpAddress,
)
from tunnelkeeper.core.host_spec import parse_host_spec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tunnelkeeper.core.configuration import Configuration, HostOptions, Tunnel

PROGRAM = "tunnelkeeper"
_LOCAL_HOSTS = {LOOPBACK, EVERY_INTERFACE, "127.0.0.1", "::1", "0.0.0.0", "::"}  # noqa: S104


def find_references(configuration: Configuration, removed: Collection[str]) -> list[str]:
    """Return a sentence for each setting of the other tunnels that needs a removed one."""
    gone = [tunnel for name, tunnel in configuration.tunnels.items() if name in removed]
    kept = [tunnel for name, tunnel in configuration.tunnels.items() if name not in removed]
    sentences = [
        sentence for tunnel in gone for sentence in _ports_used(configuration, tunnel, kept)
    ]
    sentences += [
        f"{where} of {place} names {name}"
        for place, where, command in _commands(configuration, kept)
        for name in removed
        if _names(command, name)
    ]
    return sentences


def find_unused_hosts(configuration: Configuration, removed: Collection[str]) -> list[str]:
    """Return the [hosts] tables that removed tunnels use and no other tunnel does."""
    gone, kept = set[str](), set[str]()
    for name, tunnel in configuration.tunnels.items():
        used = gone if name in removed else kept
        ahead = [tunnel.host, *(tunnel.options.jump or ())]
        while ahead:
            host = parse_host_spec(ahead.pop()).host
            if host in configuration.hosts and host not in used:
                used.add(host)
                ahead += configuration.hosts[host].jump or ()
    return [host for host in configuration.hosts if host in gone - kept]


def _ports_used(configuration: Configuration, gone: Tunnel, kept: list[Tunnel]) -> Iterator[str]:
    """Yield a sentence for each hop of the other tunnels that is a local port of a tunnel."""
    ports = {
        forward.listen.port
        for forward in gone.forwards
        if isinstance(forward, LocallyBoundForward)
        and isinstance(forward.listen, TcpAddress)
        and forward.listen.host in _LOCAL_HOSTS
    }
    for tunnel in kept:
        for hop in (*(tunnel.options.jump or ()), tunnel.host):
            spec = parse_host_spec(hop)
            options = tunnel.options if hop == tunnel.host else configuration.hosts.get(spec.host)
            host = (options.hostname if options else None) or spec.host
            hop_ports = {spec.port} if spec.port else set((options.port if options else None) or ())
            for port in sorted(ports & hop_ports) if host in _LOCAL_HOSTS else ():
                yield f"{tunnel.name} connects to {host}:{port}, where {gone.name} listened"


def _commands(configuration: Configuration, kept: list[Tunnel]) -> Iterator[tuple[str, str, str]]:
    """Yield the place, the key and the text of each command in the configuration."""
    for tunnel in kept:
        yield from _host_commands(tunnel.name, tunnel.options)
        for key, words in (("on_up", tunnel.on_up), ("on_down", tunnel.on_down)):
            if words:
                yield tunnel.name, key, " ".join(words)
    for name, options in configuration.hosts.items():
        yield from _host_commands(f"[hosts.{name}]", options)


def _host_commands(place: str, options: HostOptions) -> Iterator[tuple[str, str, str]]:
    """Yield the place, the key and the text of each command of a host."""
    for key in (each.name for each in fields(options) if each.name.endswith("_command")):
        command = getattr(options, key)
        if command:
            yield place, key, command if isinstance(command, str) else " ".join(command)


def _names(command: str, name: str) -> bool:
    """Return whether a command runs this program with a name among its words."""
    words = re.split(r"[\s'\"=;&|()]+", command)
    return name in words and any(word.rpartition("/")[2] == PROGRAM for word in words)
