"""An in-process SSH server with switches for the behaviour of real servers.

It has a throwaway host key, accepts one throwaway user key and forwards in every direction. The
end-to-end tests use the real sshd.
"""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.connection import SSHServerConnection
from asyncssh.constants import MSG_CHANNEL_OPEN, MSG_GLOBAL_REQUEST
from asyncssh.packet import SSHPacket

from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.waiting import DEADLINE
from tunnelkeeper.core.configuration import Host
from tunnelkeeper.ssh.asyncssh_logging import silence_asyncssh
from tunnelkeeper.ssh.connect import connect_hop
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tunnelkeeper.ssh.connection import Connection

PROHIBITED = 1  # RFC 4254 section 5.1
TOO_MANY_ATTEMPTS = 2  # the code sshd gives for "Too many authentication failures"


@dataclass(slots=True)
class Server:
    """The server and a record of its clients.

    Switches: the requests it refuses, and the events that a login, a channel or a listener waits
    for.
    open_failure: the code and text for a channel that it refuses.
    ignores: returns whether the server ignores a message, given its number and its first field, the
    name of a global request or the type of a channel. requests: the names of the global requests.
    session: makes the session that serves a channel instead of its target. logins: the users that
    tried to log in. offered: the keys they offered. opening, listening: the number of requested
    channels and TCP listeners.
    """

    folder: Path
    host_key: asyncssh.SSHKey
    user_key: asyncssh.SSHKey
    port: int = 0
    refuse_logins: bool = False
    end_login: bool = False
    refuse_listening: bool = False
    listen_debug_message: str = ""
    refuse_opening: bool = False
    open_failure: tuple[int, str] = (PROHIBITED, "not by this server")
    may_log_in: asyncio.Event = field(default_factory=asyncio.Event)
    may_open: asyncio.Event = field(default_factory=asyncio.Event)
    may_listen: asyncio.Event = field(default_factory=asyncio.Event)
    ignores: Callable[[int, bytes], bool] = lambda _, __: False
    session: Callable[[], object] | None = None
    user_authority: asyncssh.SSHKey | None = None
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    opening: int = 0
    listening: int = 0

    @property
    def user_key_file(self) -> str:
        return str(self.folder / "user_key")

    @property
    def known_hosts(self) -> Path:
        return self.folder / f"known_hosts_{self.port}"

    def host(self, **changes: Any) -> Host:
        """Return how to connect and log in to this server, with changes."""
        host = Host(
            name="server",
            hostname="127.0.0.1",
            user="me",
            ports=(self.port,),
            identity_files=(self.user_key_file,),
            user_known_hosts=(str(self.known_hosts),),
        )
        return replace(host, **changes)

    def add_known_host_key(self, key: asyncssh.SSHKey, marker: str = "") -> None:
        """Add a key to this server's known_hosts file."""
        with self.known_hosts.open("a") as file:
            file.write(f"{marker} [127.0.0.1]:{self.port} {public(key)}\n".lstrip())

    def release_all(self) -> None:
        """Set the events that requests wait for."""
        for event in (self.may_log_in, self.may_open, self.may_listen):
            event.set()

    def drop(self) -> None:
        """Abort every connection without a message."""
        for connection in self.connections:
            connection.abort()


class ServerCallbacks(asyncssh.SSHServer):
    """One client's connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection: asyncssh.SSHServerConnection

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._server.connections.append(conn)
        filters = {n: _filtering(self._server, n) for n in (MSG_GLOBAL_REQUEST, MSG_CHANNEL_OPEN)}
        vars(conn)["_packet_handlers"] = conn._packet_handlers | filters

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.remove(self._connection)

    async def begin_auth(self, username: str) -> bool:
        self._server.logins.append(username)
        if self._server.end_login:
            raise asyncssh.DisconnectError(TOO_MANY_ATTEMPTS, "Too many authentication failures")
        await self._server.may_log_in.wait()
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self._server.offered.append(key.get_fingerprint())
        is_known = key.public_data == self._server.user_key.public_data
        return is_known and not self._server.refuse_logins

    def validate_ca_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self._server.offered.append(f"certificate by {key.get_fingerprint()}")
        authority = self._server.user_authority
        return authority is not None and key.public_data == authority.public_data

    def connection_requested(self, dest_host: str, dest_port: int, *_: object) -> Any:
        return self._open(lambda: self._connection.forward_connection(dest_host, dest_port))

    def unix_connection_requested(self, dest_path: str) -> Any:
        return self._open(lambda: self._connection.forward_unix_connection(dest_path))

    async def server_requested(self, listen_host: str, listen_port: int) -> bool:
        self._server.listening += 1
        await self._server.may_listen.wait()
        # asyncssh never closes a listener that it opens for a lost connection.
        return self._connection in self._server.connections and self._may_listen()

    def unix_server_requested(self, listen_path: str) -> bool:
        return self._may_listen()

    def _may_listen(self) -> bool:
        if self._server.listen_debug_message:
            self._connection.send_debug(self._server.listen_debug_message)
        return not self._server.refuse_listening

    async def _open(self, forward: Callable[[], Awaitable[Any]]) -> Any:
        self._server.opening += 1
        if self._server.refuse_opening:
            raise asyncssh.ChannelOpenError(*self._server.open_failure)
        await self._server.may_open.wait()
        if self._server.session is not None:
            return self._server.session()
        try:
            return await forward()
        except asyncssh.ChannelOpenError as error:  # with the text of sshd
            raise asyncssh.ChannelOpenError(error.code, "Connection refused") from error


def _filtering(server: Server, number: int) -> Callable[..., Any]:
    """Return a handler for a message that the server may ignore."""
    handle: Any = SSHServerConnection._packet_handlers[number]

    def process(connection: Any, pkttype: int, pktid: int, packet: SSHPacket) -> Any:
        name = SSHPacket(packet.get_remaining_payload()).get_string()
        if number == MSG_GLOBAL_REQUEST:
            server.requests.append(name)
        return None if server.ignores(number, name) else handle(connection, pkttype, pktid, packet)

    return process


@asynccontextmanager
async def serve(
    folder: Path,
    *,
    user_key: asyncssh.SSHKey | None = None,
    certified_by: asyncssh.SSHKey | None = None,
    port: int = 0,
    **options: Any,
) -> AsyncIterator[Server]:
    """Run a server with its host key in its known_hosts file and its user key in a file.

    certified_by: a CA that signs the host key; known_hosts is then empty.
    """
    silence_asyncssh()  # formatting log lines of asyncssh takes time
    server = Server(folder, new_key(), user_key or new_key())
    server.release_all()
    certificates = []
    if certified_by is not None:
        principals = ["127.0.0.1"]
        certificates = [
            certified_by.generate_host_certificate(server.host_key, "host", principals=principals)
        ]
    settings = {
        "server_factory": lambda: ServerCallbacks(server),
        "server_host_keys": [server.host_key],
        "server_host_certs": certificates,
        "gss_host": None,
    }
    acceptor = await asyncssh.listen("127.0.0.1", port, **(settings | options))
    server.port = acceptor.get_port()
    write_key(folder / "user_key", server.user_key)
    if certified_by is None:
        server.add_known_host_key(server.host_key)
    try:
        yield server
    finally:
        acceptor.close()
        server.release_all()
        async with asyncio.timeout(DEADLINE):
            for connection in list(server.connections):
                connection.abort()
                await connection.wait_closed()


@asynccontextmanager
async def jump_host(folder: Path, **changes: Any) -> AsyncIterator[tuple[Server, Connection]]:
    """Run a server with its own subfolder, and connect to it.

    The changes apply to its host.
    """
    (folder / "jump").mkdir()
    async with serve(folder / "jump") as jump, connected(jump.host(**changes)) as connection:
        yield jump, connection


@asynccontextmanager
async def connected(
    host: Host,
    progress: ProgressRecorder | None = None,
    via: Connection | None = None,
    context: SshContext | None = None,
) -> AsyncIterator[Connection]:
    """Connect to a host; close the connection at the end."""
    progress = progress or ProgressRecorder()
    connection = await connect_hop(host, via, context or SshContext(), progress)
    connection.measure_round_trip(progress.info)
    try:
        yield connection
    finally:
        await connection.close()


def new_key(kind: str = "ssh-ed25519") -> asyncssh.SSHKey:
    """Return a throwaway key."""
    return asyncssh.generate_private_key(kind)


def write_key(path: Path, key: asyncssh.SSHKey, passphrase: str = "") -> str:
    """Write a private key (0600) and its public half beside it; return the path as text."""
    path.unlink(missing_ok=True)
    path.touch(0o600)
    path.write_bytes(key.export_private_key())
    path.with_name(f"{path.name}.pub").write_bytes(key.export_public_key())
    if passphrase:  # with one round of key derivation: tests are not secret
        command = ["ssh-keygen", "-q", "-p", "-a", "1", "-P", "", "-N", passphrase, "-f", str(path)]
        subprocess.run(command, check=True, capture_output=True)
    return str(path)


def public(key: asyncssh.SSHKey) -> str:
    """Return `type base64` of a key's public half."""
    return " ".join(key.export_public_key().decode().split()[:2])
