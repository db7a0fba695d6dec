"""The text of our unit files: what they run, what it may do, and when it starts. Pure text.

These options are left out of user units on purpose, as tried with systemd 252 without root.
CapabilityBoundingSet=, PrivateDevices=, ProtectClock=, ProtectKernelModules=, ProtectKernelLogs=
and DynamicUser= keep a user unit from starting. ProtectSystem=strict is accepted and not enforced.
StateDirectory= is the folder of the config file before systemd 254, and makes ours a link to it
afterwards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.net.bind_addresses import bind_addresses
from tunnelkeeper.systemd.quoting import (
    Specifiers,
    UnquotableError,
    escape_specifiers,
    quote_command,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

MARKER = "# Written by `tunnelkeeper units`; without this line it is left alone."
"""The first line of every unit file that we write. A file without it is not ours."""

SUPERVISOR = "tunnelkeeper.service"
TEMPLATE = "tunnelkeeper@.service"
RELAY = "tunnelkeeper-relay.service"
RELAY_SOCKET = "tunnelkeeper-relay.socket"
SUPERVISOR_FOLDER = "tunnelkeeper"
RELAY_FOLDER = "tunnelkeeper-relay"
"""The names of their runtime and state folders, and of the users of their system units."""

NAMES = (SUPERVISOR, TEMPLATE, RELAY, RELAY_SOCKET)
"""The names of all unit files that we may write."""

INSTANCE_PATTERN = "tunnelkeeper@*.service"
"""The pattern for systemctl that matches the units of single tunnels."""

Ready = Literal["tried", "up"]
"""When a service is ready: after the first attempt of every tunnel, or when all are up."""

_IP_ADDRESS = re.compile(r"[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9_.-]+)?")
_CREDENTIAL_NAME = re.compile(r"[A-Za-z0-9._@=-]{1,255}")
_UNIT_NAME = re.compile(r"[A-Za-z0-9:_.@%-]+\.(service|target|socket|path|timer)")


class UnitKind(StrEnum):
    """What a unit runs."""

    SUPERVISOR = "supervisor"
    TUNNEL = "tunnel"
    RELAY = "relay"


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential that systemd passes to a service: LoadCredential= in systemd.exec(5).

    path: an absolute path, or empty for the credential of this name that systemd itself was given.
    """

    name: str
    path: str = ""
    is_encrypted: bool = False

    @property
    def line(self) -> str:
        """The line of the unit. Raises UnquotableError."""
        if not _CREDENTIAL_NAME.fullmatch(self.name):
            raise UnquotableError(f"{self.name!r} is not the name of a credential")
        if self.path and (not self.path.startswith("/") or set(self.path) & set("\"'\\:")):
            raise UnquotableError(f"{self.path!r}: systemd reads no credential from this path")
        key = "LoadCredentialEncrypted" if self.is_encrypted else "LoadCredential"
        return f"{key}={self.name}{f':{escape_specifiers(self.path)}' if self.path else ''}"


@dataclass(frozen=True, slots=True)
class UnitOptions:
    """The options of a unit that a person can choose.

    program: the words that start tunnelkeeper, the first an absolute path. options: the global
    options that follow, none where the defaults do. listen: the relay's addresses. on_failure: a
    unit that is started when ours fails, or empty. credentials: those of tunnels; the relay has
    none.
    """

    program: Sequence[str]
    options: Sequence[str] = ()
    is_system: bool = False
    ready: Ready = "tried"
    on_failure: str = ""
    listen: Sequence[TcpAddress] = (TcpAddress("127.0.0.1", 2222),)
    credentials: Sequence[Credential] = ()


DEFAULT_PROGRAM = (Specifiers("%h/.local/bin/tunnelkeeper"),)
"""Where pipx, uv and `pip install --user` put it: what the files in units/ start."""

_TIMEOUTS = """\
Restart=always
RestartSec=1
TimeoutStopSec=15
TimeoutAbortSec=5
WatchdogSec=60
KillMode=mixed"""

_LIMITS = """\
LimitNOFILE=524288
LimitCORE=0
TasksMax=4096
MemoryMax=50%
OOMPolicy=continue"""

_HARDENING = """\
NoNewPrivileges=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes"""

_HARDENING_OF_THE_RELAY = """\
PrivateMounts=yes
PrivateUsers=yes
ProcSubset=pid
ProtectHome={protect_home}
ProtectHostname=yes
ProtectProc=invisible
RemoveIPC=yes
SystemCallFilter=~@privileged @resources
UMask=0077"""
"""What only the relay gets: tunnels run programs of a person's choice, and read their home."""

_HARDENING_OF_A_SYSTEM_UNIT = """\
CapabilityBoundingSet=
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict"""


def unit_files(kind: UnitKind, unit: UnitOptions) -> dict[str, str]:
    """Return the unit files of a kind, by name.

    Raises UnquotableError for a program or option that a unit file cannot contain.
    """
    match kind:
        case UnitKind.SUPERVISOR:
            return {SUPERVISOR: _supervisor(unit)}
        case UnitKind.TUNNEL:
            return {TEMPLATE: _tunnel(unit)}
        case UnitKind.RELAY:
            return {RELAY: _relay(unit), RELAY_SOCKET: _relay_socket(unit)}


def is_ours(text: str) -> bool:
    """Return whether we wrote the file with this text."""
    return text.splitlines()[:1] == [MARKER]


def is_unit_name(text: str) -> bool:
    """Return whether a text names a unit. Specifiers such as %n are allowed."""
    return _UNIT_NAME.fullmatch(text) is not None


def instance_name(tunnel: str) -> str:
    """Return the unit of one tunnel. Names of tunnels need no escaping (core.configuration)."""
    return TEMPLATE.replace("@", f"@{tunnel}")


def _supervisor(unit: UnitOptions) -> str:
    options = [*unit.options, *_socket_option(unit, SUPERVISOR_FOLDER, "control.sock")]
    return _service(
        unit,
        "SSH tunnels kept up by tunnelkeeper",
        start=[*unit.program, *options, "up", *_ready_option(unit)],
        reload=[*unit.program, *options, "reload"],
        folder=SUPERVISOR_FOLDER,
    )


def _tunnel(unit: UnitOptions) -> str:
    # %i and not %I: %I would replace each `-` in the tunnel's name by `/`.
    options = [*unit.options, "--socket", Specifiers("%t/tunnelkeeper@%i/socket")]
    return _service(
        unit,
        "SSH tunnel %i kept up by tunnelkeeper",
        start=[*unit.program, *options, "up", *_ready_option(unit), Specifiers("%i")],
        reload=[*unit.program, *options, "reload"],
        folder="tunnelkeeper@%i",
    )


def _relay(unit: UnitOptions) -> str:
    options = [*unit.options, *_socket_option(unit, RELAY_FOLDER, "relay.sock")]
    return _service(
        unit,
        "tunnelkeeper relay",
        start=[*unit.program, *options, "relay", "serve"],
        reload=[*unit.program, *options, "relay", "reload"],
        folder=RELAY_FOLDER,
        socket=RELAY_SOCKET,
    )


def _relay_socket(unit: UnitOptions) -> str:
    return _unit_text(
        "[Unit]",
        "Description=The ports of the tunnelkeeper relay",
        "",
        "[Socket]",
        *[f"ListenStream={where}" for address in unit.listen for where in _listen_streams(address)],
        "BindIPv6Only=ipv6-only",
        "# Listen on an address even before this machine has it.",
        "FreeBind=yes",
        "Backlog=512",
        "",
        "[Install]",
        "WantedBy=sockets.target",
    )


def _listen_streams(address: TcpAddress) -> list[str]:
    """Return an address as values of ListenStream=: the sockets that the relay would bind."""
    hosts = [bound.host for bound in bind_addresses(address.host)]
    if not all(map(_IP_ADDRESS.fullmatch, hosts)):
        raise UnquotableError(
            f"{address}: systemd listens on addresses, not on names", "write the address"
        )
    if not address.port:
        raise UnquotableError(f"{address}: systemd needs the number of the port")
    return [escape_specifiers(str(TcpAddress(host, address.port))) for host in hosts]


def _service(
    unit: UnitOptions,
    description: str,
    start: Sequence[str],
    reload: Sequence[str],
    folder: str,
    socket: str = "",
) -> str:
    return _unit_text(
        "[Unit]",
        f"Description={description}",
        *_dependencies(unit, socket),
        "# systemd restarts the service for ever.",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=notify",
        *_user(unit, folder),
        "SyslogIdentifier=%p",
        f"ExecStart={quote_command(start)}",
        f"ExecReload={quote_command(reload)}",
        *_on_failure(unit),
        *(credential.line for credential in unit.credentials if folder != RELAY_FOLDER),
        *_TIMEOUTS.splitlines(),
        *_folders(unit, folder),
        "",
        *_LIMITS.splitlines(),
        "",
        *_HARDENING.splitlines(),
        *_hardening_of_a_system_unit(unit, folder),
        "",
        "[Install]",
        f"WantedBy={'multi-user.target' if unit.is_system else 'default.target'}",
        *([f"Also={socket}"] if socket else []),
    )


def _user(unit: UnitOptions, folder: str) -> list[str]:
    """Return the user of a system unit.

    systemd creates that of the relay. If there is a user of this name already, it takes that one.
    Tunnels have a home, with keys and known_hosts.
    """
    if not unit.is_system:
        return []
    if folder == RELAY_FOLDER:
        return [f"User={RELAY_FOLDER}", "DynamicUser=yes"]
    return [f"User={SUPERVISOR_FOLDER}"]


def _hardening_of_a_system_unit(unit: UnitOptions, folder: str) -> list[str]:
    if not unit.is_system:
        return []
    lines = _HARDENING_OF_A_SYSTEM_UNIT.splitlines()
    if folder == RELAY_FOLDER:
        # A home that cannot be seen would hide a program in it.
        is_in_home = str(unit.program[0]).startswith(("/home/", "/root/"))
        text = _HARDENING_OF_THE_RELAY.format(protect_home="read-only" if is_in_home else "yes")
        lines += text.splitlines()
    return lines


def _dependencies(unit: UnitOptions, socket: str) -> list[str]:
    lines = []
    if unit.is_system:  # the service manager of a user has no such target
        lines += ["Wants=network-online.target", "After=network-online.target"]
    if socket:
        lines += [f"Requires={socket}", f"After={socket}"]
    return lines


def _on_failure(unit: UnitOptions) -> list[str]:
    """Return the line that starts another unit whenever ours fails.

    Before systemd 254, OnFailure= would wait for the end of all restarts, which never comes.
    """
    if not unit.on_failure:
        return []
    systemctl = f"systemctl {'' if unit.is_system else '--user '}start --no-block"
    script = f'test "$SERVICE_RESULT" = success || exec {systemctl} {unit.on_failure}'
    return [f"ExecStopPost=-{'+' if unit.is_system else ''}/bin/sh -c '{script}'"]


def _folders(unit: UnitOptions, folder: str) -> list[str]:
    lines = [f"RuntimeDirectory={folder}", "RuntimeDirectoryMode=0700"]
    if folder in {SUPERVISOR_FOLDER, RELAY_FOLDER}:
        lines += ["# One that was started by hand may use this folder, so it is not removed."]
        lines += ["RuntimeDirectoryPreserve=yes"]
    if unit.is_system:
        state = RELAY_FOLDER if folder == RELAY_FOLDER else SUPERVISOR_FOLDER
        lines += [f"StateDirectory={state}", "StateDirectoryMode=0700"]
    return lines


def _socket_option(unit: UnitOptions, folder: str, socket: str) -> list[str]:
    """Return the --socket option of a system unit. A user unit uses XDG_RUNTIME_DIR."""
    if not unit.is_system or "--socket" in unit.options:
        return []
    return ["--socket", Specifiers(f"%t/{folder}/{socket}")]


def _ready_option(unit: UnitOptions) -> list[str]:
    return ["--ready", "up"] if unit.ready == "up" else []


def _unit_text(*lines: str) -> str:
    return "\n".join((MARKER, "", *lines, ""))
