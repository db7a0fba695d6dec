"""What to paste on a box or a person's machine after `relay add`. Pure text."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.core.forward_spec import EVERY_INTERFACE, TcpAddress
from tunnelkeeper.relay.registry import listen_name
from tunnelkeeper.ssh.auth.known_hosts import host_pattern

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.relay.enrolment import Enrolment
    from tunnelkeeper.relay.permits import HostPermit

SSH_PORT = 22
_RESERVED_PORTS, _OFFSET = 1024, 8000  # 80 becomes 8080
_KEEPALIVE = "-o ServerAliveInterval=15 -o ServerAliveCountMax=3 -o ExitOnForwardFailure=yes"


@dataclass(frozen=True, slots=True)
class Instructions:
    """Texts for one key. An empty one does not apply.

    known_hosts: lines for ~/.ssh/known_hosts. tunnels_toml: for a box. ssh, autossh: commands.
    ssh_config: for a person.
    """

    known_hosts: list[str]
    tunnels_toml: str
    ssh: list[str]
    autossh: str
    ssh_config: str


def public_address(
    written: TcpAddress | None, listen: Sequence[TcpAddress], host_name: str
) -> TcpAddress:
    """Return the address by which clients reach a relay. written: of the owner, if any.

    host_name: of this machine, for a relay that listens on every interface.
    """
    first = listen[0]
    if written is not None:
        return TcpAddress(written.host, written.port or first.port)
    is_everywhere = first.host in {EVERY_INTERFACE, "0.0.0.0", "::"}  # noqa: S104
    return TcpAddress(host_name, first.port) if is_everywhere else first


def instructions_for(
    enrolment: Enrolment, relay: TcpAddress, host_keys: Sequence[str]
) -> Instructions:
    """Return the texts for a key that was added. host_keys: of the relay, as `type base64`."""
    pattern = host_pattern(relay.host, relay.port, None)
    listen = enrolment.rights.listen
    return Instructions(
        known_hosts=[f"{pattern} {key}" for key in host_keys],
        tunnels_toml=_tunnels_toml(enrolment, relay) if listen else "",
        ssh=[_box_command(enrolment, relay)] if listen else _person_commands(enrolment, relay),
        autossh=f"autossh -M 0{_box_command(enrolment, relay).removeprefix('ssh')}"
        if listen
        else "",
        ssh_config="" if listen else _ssh_config(enrolment, relay),
    )


def _identity(enrolment: Enrolment) -> str:
    """Return the file of a generated key on the other machine; empty for a key of its own."""
    return f"~/.ssh/{enrolment.private_key.name}" if enrolment.private_key else ""


def _box_command(enrolment: Enrolment, relay: TcpAddress) -> str:
    forwards = " ".join(f"-R {_forward(permit)}" for permit in enrolment.rights.listen)
    return f"ssh -N {_KEEPALIVE} {_login(enrolment, relay)} {forwards} {_user_at(enrolment, relay)}"


def _login(enrolment: Enrolment, relay: TcpAddress) -> str:
    identity = _identity(enrolment)
    return f"-p {relay.port}{f' -i {identity}' if identity else ''}"


def _user_at(enrolment: Enrolment, relay: TcpAddress) -> str:
    return shlex.quote(f"{enrolment.user}@{relay.host}")


def _forward(permit: HostPermit) -> str:
    return f"{permit}:localhost:{permit.port}"


def _tunnels_toml(enrolment: Enrolment, relay: TcpAddress) -> str:
    identity = _identity(enrolment)
    remote = ", ".join(f'"{_forward(permit)}"' for permit in enrolment.rights.listen)
    lines = [
        "[hosts.relay]",
        f'hostname = "{relay.host}"',
        f"port = {relay.port}",
        f'user = "{enrolment.user}"',
        *([f'identity_files = "{identity}"'] if identity else []),
        "",
        f'[tunnels."{enrolment.user}"]' if "." in enrolment.user else f"[tunnels.{enrolment.user}]",
        'host = "relay"',
        f"remote = [{remote}]",
    ]
    return "\n".join(lines) + "\n"


def _person_commands(enrolment: Enrolment, relay: TcpAddress) -> list[str]:
    """Return the commands that work with `_ssh_config`."""
    return [
        f"ssh {permit.host}"
        if _is_jumped_to(permit)
        else f"ssh -N -L {_local_port(permit)}:{permit} {relay.host}"
        for permit in enrolment.rights.open
    ]


def _local_port(permit: HostPermit) -> int:
    """Return a port that a person may listen on: not one that is reserved for root."""
    port = permit.port or 0
    return port if port >= _RESERVED_PORTS else _OFFSET + port


def _is_jumped_to(permit: HostPermit) -> bool:
    return permit.port == SSH_PORT and listen_name(permit.host) is not None


def _ssh_config(enrolment: Enrolment, relay: TcpAddress) -> str:
    identity = _identity(enrolment)
    lines = [
        f"Host {relay.host}",
        f"    Port {relay.port}",
        f"    User {enrolment.user}",
        *([f"    IdentityFile {identity}"] if identity else []),
    ]
    hosts = [permit.host for permit in enrolment.rights.open if _is_jumped_to(permit)]
    if hosts:
        lines += ["", f"Host {' '.join(dict.fromkeys(hosts))}", f"    ProxyJump {relay.host}"]
    return "\n".join(lines) + "\n"


def format_text(enrolment: Enrolment, instructions: Instructions, notes: Sequence[str]) -> str:
    """Return the whole text that `relay add` prints. notes: sentences for the owner."""
    user, rights = enrolment.user, enrolment.rights
    may = [f"listen on {', '.join(map(str, rights.listen))}"] if rights.listen else []
    may += [f"open {', '.join(map(str, rights.open))}"] if rights.open else []
    first = f"added {user} to {enrolment.file}: the key {enrolment.fingerprint} may "
    parts = [first + " and ".join(may), *notes]
    if enrolment.private_key is not None:
        parts.append(
            f"The new key is in {enrolment.private_key}. Move it to {_identity(enrolment)} on the "
            f"machine of {user}, with mode 0600, and keep no copy here."
        )
    parts.append(f"On the machine of {user}:")
    if instructions.known_hosts:
        parts.append(_block("in ~/.ssh/known_hosts:", "\n".join(instructions.known_hosts)))
    if instructions.tunnels_toml:
        parts.append(_block("in ~/.config/tunnelkeeper/tunnels.toml:", instructions.tunnels_toml))
        commands = "\n".join([*instructions.ssh, instructions.autossh])
        parts.append(_block("or, without tunnelkeeper, one of these commands:", commands))
    else:
        parts.append(_block("in ~/.ssh/config:", instructions.ssh_config))
        parts.append(_block("This connects:", "\n".join(instructions.ssh)))
    return "\n\n".join(parts)


def _block(heading: str, text: str) -> str:
    lines = [f"  {line}".rstrip() for line in text.rstrip("\n").split("\n")]
    return "\n".join([heading, "", *lines])
