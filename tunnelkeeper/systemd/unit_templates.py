"""The text of our unit files: what is run, what it may do, and when it starts. Pure text.

What is said of user units holds for systemd 252 without root. Left out of them on purpose:
CapabilityBoundingSet=, PrivateDevices=, ProtectClock=, ProtectKernelModules=, ProtectKernelLogs=
and DynamicUser= keep a user unit from starting; ProtectSystem=strict is accepted there and not
enforced; StateDirectory= is the folder of the config file before systemd 254 and turns ours into
a link to it afterwards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.net.bind_addresses import bind_addresses
from tunnelkeeper.systemd.quoting import Specifiers, UnquotableError, command, specifier_free

if TYPE_CHECKING:
    from collections.abc import Sequence

MARKER = "# Written by `tunnelkeeper units`; without this line it is left alone."
"""The first line of every file of ours: a file without it is somebody else's."""

SUPERVISOR = "tunnelkeeper.service"
TEMPLATE = "tunnelkeeper@.service"
RELAY = "tunnelkeeper-relay.service"
RELAY_SOCKET = "tunnelkeeper-relay.socket"
NAMES = (SUPERVISOR, TEMPLATE, RELAY, RELAY_SOCKET)
"""Every file that may be ours."""

EVERY_INSTANCE = "tunnelkeeper@*.service"
"""The running units of single tunnels, as systemctl takes a pattern."""

Ready = Literal["tried", "up"]
"""When a service is ready: every tunnel was tried once, or all of them are up."""

_IP_ADDRESS = re.compile(r"[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9_.-]+)?")
_UNIT_NAME = re.compile(r"[A-Za-z0-9:_.@%-]+\.(service|target|socket|path|timer)")


class UnitKind(StrEnum):
    """What is to run."""

    SUPERVISOR = "supervisor"
    TUNNEL = "tunnel"
    RELAY = "relay"


@dataclass(frozen=True, slots=True)
class UnitOptions:
    """What a person may choose of a unit.

    program: the words that start tunnelkeeper, the first an absolute path. options: the global
    options that follow, none where the defaults do. listen: the relay's addresses. on_failure: a
    unit that is started when ours fails, or empty.
    """

    program: Sequence[str]
    options: Sequence[str] = ()
    is_system: bool = False
    ready: Ready = "tried"
    on_failure: str = ""
    listen: Sequence[TcpAddress] = (TcpAddress("127.0.0.1", 2222),)


DEFAULT_PROGRAM = (Specifiers("%h/.local/bin/tunnelkeeper"),)
"""Where pipx, uv and `pip install --user` put it: what the files in units/ start."""

_PATIENCE = """\
Restart=always
RestartSec=5
TimeoutStopSec=15
TimeoutAbortSec=5
WatchdogSec=60
KillMode=mixed"""

_LIMITS = """\
LimitNOFILE=524288
LimitCORE=0
TasksMax=4096"""

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


def files(kind: UnitKind, wishes: UnitOptions) -> dict[str, str]:
    """The unit files of a kind: their names and their texts.

    Raises Unwritable for a program or option that no unit file can hold.
    """
    match kind:
        case UnitKind.SUPERVISOR:
            return {SUPERVISOR: _supervisor(wishes)}
        case UnitKind.TUNNEL:
            return {TEMPLATE: _tunnel(wishes)}
        case UnitKind.RELAY:
            return {RELAY: _relay(wishes), RELAY_SOCKET: _relay_socket(wishes)}


def is_ours(text: str) -> bool:
    """Whether we wrote the file that holds this text."""
    return text.splitlines()[:1] == [MARKER]


def is_unit_name(text: str) -> bool:
    """Whether it can be started when ours fails; specifiers such as %n are allowed."""
    return _UNIT_NAME.fullmatch(text) is not None


def instance(tunnel: str) -> str:
    """The unit that holds one tunnel. Its name needs no escaping: see core.configuration."""
    return TEMPLATE.replace("@", f"@{tunnel}")


def _supervisor(wishes: UnitOptions) -> str:
    options = [*wishes.options, *_place(wishes, "control.sock")]
    return _service(
        wishes,
        "SSH tunnels kept up by tunnelkeeper",
        start=[*wishes.program, *options, "up", *_ready(wishes)],
        reload=[*wishes.program, *options, "reload"],
        folder="tunnelkeeper",
    )


def _tunnel(wishes: UnitOptions) -> str:
    # %i and not %I: a tunnel's name is used as it stands, and %I would make a `/` of each `-`.
    options = [*wishes.options, "--socket", Specifiers("%t/tunnelkeeper@%i/socket")]
    return _service(
        wishes,
        "SSH tunnel %i kept up by tunnelkeeper",
        start=[*wishes.program, *options, "up", *_ready(wishes), Specifiers("%i")],
        reload=[*wishes.program, *options, "reload"],
        folder="tunnelkeeper@%i",
    )


def _relay(wishes: UnitOptions) -> str:
    options = [*wishes.options, *_place(wishes, "relay.sock")]
    return _service(
        wishes,
        "tunnelkeeper relay",
        start=[*wishes.program, *options, "relay", "serve"],
        reload=[*wishes.program, *options, "relay", "reload"],
        folder="tunnelkeeper",
        socket=RELAY_SOCKET,
    )


def _relay_socket(wishes: UnitOptions) -> str:
    return _joined(
        "[Unit]",
        "Description=The ports of the tunnelkeeper relay",
        "",
        "[Socket]",
        *[f"ListenStream={where}" for address in wishes.listen for where in _streams(address)],
        "BindIPv6Only=ipv6-only",
        "# An address that this machine gets only later can be listened on at once.",
        "FreeBind=yes",
        "Backlog=512",
        "",
        "[Install]",
        "WantedBy=sockets.target",
    )


def _streams(address: TcpAddress) -> list[str]:
    """An address as ListenStream= takes it, with the sockets that the relay would make itself."""
    hosts = [bound.host for bound in bind_addresses(address.host)]
    if not all(map(_IP_ADDRESS.fullmatch, hosts)):
        raise UnquotableError(
            f"{address}: systemd listens on addresses, not on names; write the address"
        )
    if not address.port:
        raise UnquotableError(f"{address}: systemd needs the number of the port")
    return [specifier_free(str(TcpAddress(host, address.port))) for host in hosts]


def _service(
    wishes: UnitOptions,
    description: str,
    start: Sequence[str],
    reload: Sequence[str],
    folder: str,
    socket: str = "",
) -> str:
    return _joined(
        "[Unit]",
        f"Description={description}",
        *_order(wishes, socket),
        "# Whatever happens: systemd never gives up for good.",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=notify",
        *(["User=tunnelkeeper"] if wishes.is_system else []),
        "SyslogIdentifier=%p",
        f"ExecStart={command(start)}",
        f"ExecReload={command(reload)}",
        *_alarm(wishes),
        *_PATIENCE.splitlines(),
        *_folders(wishes, folder),
        "",
        *_LIMITS.splitlines(),
        "",
        *_HARDENING.splitlines(),
        *(_HARDENING_OF_A_SYSTEM_UNIT.splitlines() if wishes.is_system else []),
        "",
        "[Install]",
        f"WantedBy={'multi-user.target' if wishes.is_system else 'default.target'}",
        *([f"Also={socket}"] if socket else []),
    )


def _order(wishes: UnitOptions, socket: str) -> list[str]:
    lines = []
    if wishes.is_system:  # the manager of a user has no such target
        lines += ["Wants=network-online.target", "After=network-online.target"]
    if socket:
        lines += [f"Requires={socket}", f"After={socket}"]
    return lines


def _alarm(wishes: UnitOptions) -> list[str]:
    """What starts another unit whenever ours fails.

    OnFailure= would wait for the end of all restarts, which never comes, before systemd 254.
    """
    if not wishes.on_failure:
        return []
    systemctl = f"systemctl {'' if wishes.is_system else '--user '}start --no-block"
    script = f'test "$SERVICE_RESULT" = success || exec {systemctl} {wishes.on_failure}'
    return [f"ExecStopPost=-{'+' if wishes.is_system else ''}/bin/sh -c '{script}'"]


def _folders(wishes: UnitOptions, folder: str) -> list[str]:
    lines = [f"RuntimeDirectory={folder}", "RuntimeDirectoryMode=0700"]
    if folder == "tunnelkeeper":
        lines += [
            "# Supervisor and relay have their sockets there, and each ends without the other."
        ]
        lines += ["RuntimeDirectoryPreserve=yes"]
    if wishes.is_system:
        lines += ["StateDirectory=tunnelkeeper", "StateDirectoryMode=0700"]
    return lines


def _place(wishes: UnitOptions, socket: str) -> list[str]:
    """Where the control socket is; a user's is found in XDG_RUNTIME_DIR, as every command does."""
    if not wishes.is_system or "--socket" in wishes.options:
        return []
    return ["--socket", Specifiers(f"%t/tunnelkeeper/{socket}")]


def _ready(wishes: UnitOptions) -> list[str]:
    return ["--ready", "up"] if wishes.ready == "up" else []


def _joined(*lines: str) -> str:
    return "\n".join((MARKER, "", *lines, ""))
