"""A tunnel as ssh arguments and as a tunnelkeeper config; it starts nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import tomli_w

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LOOPBACK = "127.0.0.1"

SERVER = "server"
"""The alias of the sshd's host key, independent of the port."""

FLAGS = {"local": "-L", "remote": "-R", "socks": "-D"}  # ssh(1)


@dataclass(frozen=True, slots=True)
class Forward:
    """One forward between ports of this machine. connect: 0 for SOCKS."""

    kind: Literal["local", "remote", "socks"]
    listen: int
    connect: int = 0

    def __str__(self) -> str:
        """Return the spec for ssh and tunnelkeeper."""
        listen = f"127.0.0.1:{self.listen}"
        return listen if self.kind == "socks" else f"{listen}:127.0.0.1:{self.connect}"


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One SSH connection with its forwards.

    port: the port of the sshd, or of a proxy for it. jump: use the same sshd as a jump host.
    """

    forwards: tuple[Forward, ...]
    port: int
    jump: bool = False


@dataclass(frozen=True, slots=True)
class Login:
    """The credentials and the server address for all contenders."""

    user: str
    key: Path
    known_hosts: Path
    address: str = LOOPBACK


def ssh_config(login: Login, ciphers: str) -> str:
    """Return the text of an ssh_config file, which covers jump hosts.

    ciphers: empty for the defaults of ssh.
    """
    options = {
        "HostName": login.address,
        "HostKeyAlias": SERVER,
        "User": login.user,
        "IdentityFile": login.key,
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": login.known_hosts,
        "GlobalKnownHostsFile": "none",
        "BatchMode": "yes",
        "ExitOnForwardFailure": "yes",
        "ServerAliveInterval": 15,  # tunnelkeeper's default
        "LogLevel": "ERROR",
    }
    if ciphers:
        options["Ciphers"] = ciphers
    return "".join(f"{keyword} {value}\n" for keyword, value in options.items())


def ssh_arguments(tunnel: Tunnel, config: Path) -> list[str]:
    """Return the arguments of ssh for a tunnel."""
    arguments = ["-F", str(config), "-N", "-p", str(tunnel.port), *_forward_options(tunnel)]
    if tunnel.jump:
        arguments += ["-J", f"jump:{tunnel.port}"]
    return [*arguments, SERVER]


def master_arguments(tunnel: Tunnel, config: Path, socket: Path) -> list[str]:
    """Return the arguments of an ssh master for a tunnel, without its forwards."""
    return ["-M", "-S", str(socket), *ssh_arguments(replace(tunnel, forwards=()), config)]


def forward_request(tunnel: Tunnel, config: Path, socket: Path) -> list[str]:
    """Return the arguments of ssh that make a master open the forwards of a tunnel."""
    request = ["-F", str(config), "-S", str(socket), "-O", "forward"]
    return [*request, *_forward_options(tunnel), SERVER]


def _forward_options(tunnel: Tunnel) -> list[str]:
    return [word for forward in tunnel.forwards for word in (FLAGS[forward.kind], str(forward))]


def tunnelkeeper_config(login: Login, tunnels: Sequence[Tunnel]) -> str:
    """Return a config file with all tunnels."""
    hosts: dict[str, dict[str, object]] = {}
    tables: dict[str, dict[str, object]] = {}
    for number, tunnel in enumerate(tunnels):
        for name in ("at", "jump"):
            host = f"{name}-{tunnel.port}"
            hosts[host] = {
                "hostname": login.address,
                "port": tunnel.port,
                "host_key_alias": SERVER,
            }
        table: dict[str, object] = {"host": f"at-{tunnel.port}"}
        if tunnel.jump:
            table["jump"] = [f"jump-{tunnel.port}"]
        for kind in FLAGS:
            if specs := [str(forward) for forward in tunnel.forwards if forward.kind == kind]:
                table[kind] = specs
        tables[f"tunnel-{number}"] = table
    defaults = {
        "user": login.user,
        "identity_files": [str(login.key)],
        "identities_only": True,
        "known_hosts": str(login.known_hosts),
    }
    supervisor = {"ssh_config": False}
    return tomli_w.dumps(
        {"supervisor": supervisor, "defaults": defaults, "hosts": hosts, "tunnels": tables}
    )
