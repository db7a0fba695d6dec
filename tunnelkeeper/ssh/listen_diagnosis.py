"""Diagnosis of a refused remote listener: the port is in use, or the server forbids it.

A refusal carries no reason (RFC 4254 section 7.1). It is derived from the debug message that comes
with it, or from probes if there is no message:

- OpenSSH's sshd sends a message when it forbids: `AllowTcpForwarding no` or `local`,
  `DisableForwarding`, a key with `restrict` or `no-port-forwarding`: "Server has disabled port
  forwarding."; `PermitListen` and a key's `permitlisten`: "port forwarding refused";
  `AllowStreamLocalForwarding`: "Server has disabled streamlocal forwarding.". So without a message
  it could not bind: the port is in use, or the address (GatewayPorts clientspecified) is not the
  server's, and then port 0 is refused as well. It does not check itself whether a port below 1024
  is reserved for root (bind_permitted() in misc.c), so those ports are probed.
- Our relay sends "port forwarding refused: " and its reason, also if the system refuses the port.
  Without it, another client of the relay, or another program there, listens on the port or name.
- Dropbear sends nothing, whether the port is in use, it runs with -k, or the key has
  no-port-forwarding. A connection to the port shows whether something listens there. Without -a it
  listens on localhost, whatever the requested address. Other servers are treated the same. If they
  forbid the connection too, port 0 shows whether they allow any listener.
- Unix sockets: sshd sends a message when it forbids. Otherwise a file is in the way or the folder
  is unusable, and a connection to the path shows whether something listens. Dropbear supports
  neither request.

One case cannot be detected here: `localhost` bound on ::1 alone because 127.0.0.1 is in use. sshd
calls that a success. A health check of the forward (docs/reliability.md) finds it.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.forward_spec import EVERY_INTERFACE, LOOPBACK, Address, TcpAddress
from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from tunnelkeeper.core.forward_spec import UnixAddress

REPORTS_FORBIDDEN = "SSH-2.0-OpenSSH_"
"""Version prefix of a server that always sends a message if it forbids a listener."""

OUR_RELAY = "SSH-2.0-tunnelkeeper"
"""Version prefix of our own relay, which sends its reason as well."""

_REASON_PREFIX = "port forwarding refused: "
_RELAY_HINT = (
    "the owner of the relay decides: names, permit_listen and gateway_ports in relay.toml, "
    "permitlisten and restrict in authorized_keys; `tunnelkeeper relay add` writes such a line"
)

PRIVILEGED_PORTS = range(1, 1024)
"""Ports that a system may reserve for root: ip(7), ip_unprivileged_port_start."""

_FORBIDDEN_PORT_HINT = (
    "the server's administrator must allow it: AllowTcpForwarding, PermitListen, GatewayPorts and "
    "DisableForwarding in sshd_config, permitlisten and restrict in authorized_keys; ports below "
    "1024 are root's"
)
_FORBIDDEN_PATH_HINT = (
    "the server's administrator must allow it: AllowStreamLocalForwarding and DisableForwarding "
    "in sshd_config, restrict and no-port-forwarding in authorized_keys"
)
_STALE_SOCKET_HINT = (
    "a file that an older session left is in the way, or the folder is missing or not yours: "
    "remove the file, or let `StreamLocalBindUnlink yes` in sshd_config do it"
)


class Answer(Enum):
    """The result of a connection to an address, made from the server."""

    LISTENING = "a program listens there"
    NOT_LISTENING = "no program listens there"
    UNKNOWN = "the server does not connect, or not in time"
    UNSUPPORTED = "the server does not support such connections"


class Server(Protocol):
    """The probes of a server. Everything that they open is closed at once."""

    @property
    def version(self) -> str:
        """The server's identification (RFC 4253 section 4.2)."""

    async def can_listen(self, address: TcpAddress) -> bool:
        """Return whether the server listens on the address now."""

    async def connect(self, address: Address) -> Answer:
        """Connect to the address from the server, and return the result."""


def forbidden(address: Address, hop: str, message: str = "", version: str = "") -> Failure:
    """Return the failure of a listener that the server forbids, with its message if any.

    version: the server's identification, which tells our relay from sshd.
    """
    if version.startswith(OUR_RELAY):
        reason = printable(message.removeprefix(_REASON_PREFIX))
        text = f"the relay does not allow us to listen on {address}: {reason}"
        return Failure(Cause.FORWARD_DENIED, text, hop, _RELAY_HINT)
    detail = f": {printable(message)}" if message else ""
    hint = _FORBIDDEN_PORT_HINT if isinstance(address, TcpAddress) else _FORBIDDEN_PATH_HINT
    message = f"the server does not allow us to listen on {address}{detail}"
    return Failure(Cause.FORWARD_DENIED, message, hop, hint)


async def diagnose(server: Server, address: Address, hop: str) -> Failure:
    """Return why a server refused to listen without a message."""
    if server.version.startswith(OUR_RELAY):
        return _held_at_relay(address, hop)
    if isinstance(address, TcpAddress):
        return await _diagnose_port(server, address, hop)
    return await _diagnose_path(server, address, hop)


async def _diagnose_port(server: Server, address: TcpAddress, hop: str) -> Failure:
    any_port = TcpAddress(address.host, 0)
    if server.version.startswith(REPORTS_FORBIDDEN):
        common = address.host in {LOOPBACK, EVERY_INTERFACE, "127.0.0.1", "::1"}
        if common or (address.port and await server.can_listen(any_port)):
            if (
                address.port in PRIVILEGED_PORTS
                and await _check_port(server, address) is Answer.NOT_LISTENING
            ):
                return forbidden(address, hop)
            return _port_in_use(address, hop)
        message = f"the server listens on no port of the address {address.host}"
        hint = "is it an address of the server? Compare `ip address` there"
        return Failure(Cause.REMOTE_PORT_BUSY, message, hop, hint)
    if address.port == 0:
        return forbidden(address, hop)
    match await _check_port(server, address):
        case Answer.LISTENING:
            return _port_in_use(address, hop)
        case Answer.NOT_LISTENING:
            return forbidden(address, hop)
    allowed = await server.can_listen(any_port)
    return _port_in_use(address, hop) if allowed else forbidden(address, hop)


async def _check_port(server: Server, address: TcpAddress) -> Answer:
    """Probe whether something listens on a port that was refused."""
    answer = await server.connect(_connect_address(address))
    if answer is Answer.NOT_LISTENING and await server.can_listen(address):
        # The program that held the port has just ended, so the next attempt can succeed.
        return Answer.LISTENING
    return answer


async def _diagnose_path(server: Server, address: UnixAddress, hop: str) -> Failure:
    match await server.connect(address):
        case Answer.LISTENING:
            message = f"another process listens on {address} on the server"
            hint = f"an older session, or another program: `ss -xlp src {address}` there shows it"
            return Failure(Cause.REMOTE_PORT_BUSY, message, hop, hint)
        case Answer.UNSUPPORTED:
            return forbidden(address, hop, "it knows no Unix sockets")
    message = f"the server cannot make the socket {address}"
    return Failure(Cause.REMOTE_PORT_BUSY, message, hop, _STALE_SOCKET_HINT)


def _connect_address(listening: TcpAddress) -> TcpAddress:
    """Return the address at which to reach a listener."""
    host = LOOPBACK if listening.host == EVERY_INTERFACE else listening.host
    return TcpAddress(host, listening.port)


def _held_at_relay(address: Address, hop: str) -> Failure:
    message = f"another client of the relay, or another program there, listens on {address}"
    hint = "a client with another key has it: `tunnelkeeper relay status` there shows which"
    return Failure(Cause.REMOTE_PORT_BUSY, message, hop, hint)


def _port_in_use(address: TcpAddress, hop: str) -> Failure:
    return Failure(
        Cause.REMOTE_PORT_BUSY,
        f"the port {address.port} of {address.host} is held by another process on the server",
        hop,
        "often an older session of this tunnel: `ClientAliveInterval 15` in sshd_config lets the "
        f"server end stale ones; `ss -tlnp sport = :{address.port}` there shows which",
    )
