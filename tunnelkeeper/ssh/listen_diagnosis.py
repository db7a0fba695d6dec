"""Why a server does not listen for us: the port is held, or it is forbidden.

A refusal carries no reason (RFC 4254 section 7.1), so what can be told is told from what comes with
it, and found out by trying where nothing does:

- OpenSSH's sshd says when it forbids: `AllowTcpForwarding no` or `local`, `DisableForwarding`, a
  key with `restrict` or `no-port-forwarding`: "Server has disabled port forwarding.";
  `PermitListen` and a key's `permitlisten`: "port forwarding refused";
  `AllowStreamLocalForwarding`: "Server has disabled streamlocal forwarding.". Where it forbids it
  says so, so what it refuses without a word it could not bind: the port is taken, or the address
  (GatewayPorts clientspecified) is none of its own, where port 0 is refused as well. But it leaves
  it to the system whether a port below 1024 is root's alone (bind_permitted() in misc.c): who
  listens there has to be looked at.
- Our relay says "port forwarding refused: " and its reason; without it, the place is taken.
- Dropbear says nothing, whether the port is taken, it runs with -k, or the key has
  no-port-forwarding: a connection to the port tells whether somebody listens there. Without -a it
  listens on localhost, whatever address was asked for. Others the same. Where that is not allowed
  either, port 0 tells whether anything may be listened on.
- Unix sockets: sshd says when it forbids; else a file is in the way or the folder does not do, and
  a connection to the path tells whether somebody listens. Dropbear knows neither request.

It cannot be told that `localhost` was bound on ::1 alone as somebody else has 127.0.0.1: sshd calls
that a success. A check of the forward (docs/reliability.md) finds it.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.forward_spec import EVERY_INTERFACE, LOOPBACK, Address, TcpAddress
from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from tunnelkeeper.core.forward_spec import UnixAddress

REPORTS_FORBIDDEN = ("SSH-2.0-OpenSSH_", "SSH-2.0-tunnelkeeper")
"""How the versions of servers begin that never forbid without a word."""

PRIVILEGED_PORTS = range(1, 1024)
"""Ports that a system may keep for root: ip(7), ip_unprivileged_port_start."""

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
    """What a connection to an address, made from the server, came to."""

    LISTENING = "somebody listens there"
    NOT_LISTENING = "nobody does"
    UNKNOWN = "the server does not make the connection, or not in time"
    UNSUPPORTED = "the server does not know such connections"


class Server(Protocol):
    """What may be asked of a server. Everything that is opened for it is closed at once."""

    @property
    def version(self) -> str:
        """Its identification (RFC 4253 section 4.2)."""

    async def can_listen(self, address: TcpAddress) -> bool:
        """Whether it listens there now."""

    async def connect(self, address: Address) -> Answer:
        """Who is at that address, seen from the server."""


def forbidden(address: Address, hop: str, message: str = "") -> Failure:
    """A refusal that is the server's will. words: its own, if it said any."""
    detail = f": {printable(message)}" if message else ""
    hint = _FORBIDDEN_PORT_HINT if isinstance(address, TcpAddress) else _FORBIDDEN_PATH_HINT
    message = f"the server does not allow us to listen on {address}{detail}"
    return Failure(Cause.FORWARD_DENIED, message, hop, hint)


async def diagnose(server: Server, address: Address, hop: str) -> Failure:
    """Find out why a server refused to listen without a word."""
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
    """Who holds a port that was refused."""
    answer = await server.connect(_connect_address(address))
    if answer is Answer.NOT_LISTENING and await server.can_listen(address):
        # Whoever held it has just gone; so it is there for us at the next try.
        return Answer.LISTENING
    return answer


async def _diagnose_path(server: Server, address: UnixAddress, hop: str) -> Failure:
    match await server.connect(address):
        case Answer.LISTENING:
            message = f"somebody listens on {address} on the server"
            hint = f"an older session, or another program: `ss -xlp src {address}` there shows who"
            return Failure(Cause.REMOTE_PORT_BUSY, message, hop, hint)
        case Answer.UNSUPPORTED:
            return forbidden(address, hop, "it knows no Unix sockets")
    message = f"the server cannot make the socket {address}"
    return Failure(Cause.REMOTE_PORT_BUSY, message, hop, _STALE_SOCKET_HINT)


def _connect_address(listening: TcpAddress) -> TcpAddress:
    """Where something that listens on an address is found."""
    host = LOOPBACK if listening.host == EVERY_INTERFACE else listening.host
    return TcpAddress(host, listening.port)


def _port_in_use(address: TcpAddress, hop: str) -> Failure:
    return Failure(
        Cause.REMOTE_PORT_BUSY,
        f"the port {address.port} of {address.host} is held by somebody else on the server",
        hop,
        "often an older session of this tunnel: `ClientAliveInterval 15` in sshd_config lets the "
        f"server end stale ones; `ss -tlnp sport = :{address.port}` there shows who holds it",
    )
