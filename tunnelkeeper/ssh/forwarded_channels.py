"""Listeners on the server, and the channels that it opens for their clients (RFC 4254 section 7).

A channel is served only if it names the address and port, or the path, of a listener of this
connection: what was requested, and for port 0 the port that the server chose. This is the rule of
channel_connect_by_listen_address() in OpenSSH's channels.c. asyncssh serves any other port of the
same address with the last listener whose port the server chose. This overrides private methods of
asyncssh's client connection and rests on asyncssh 2.24.1.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.constants import (
    MSG_REQUEST_SUCCESS,
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    OPEN_RESOURCE_SHORTAGE,
)
from asyncssh.packet import PacketDecodeError, String, UInt32

from tunnelkeeper.net.descriptor_pool import DescriptorPool
from tunnelkeeper.ssh.channels import CHANNEL_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncssh.channel import SSHTCPChannel, SSHUNIXChannel
    from asyncssh.packet import SSHPacket

    ListenKey = tuple[str, int] | str
    """The address and port of a listener, or its path, as the server names it in a channel."""

    SessionFactory = Callable[..., Any]
    """Returns the session of a channel, or an awaitable of it."""

PORTS = range(1, 65536)

MAX_CHANNELS = 4096
"""Channels of a connection with which its server opens no further one, as CHANNELS_MAX_CHANNELS in
OpenSSH's channels.c. A channel that we have closed counts until the server closes it as well."""

PORTLESS_VERSIONS = "SSH-2.0-OpenSSH_5", "SSH-1.99-OpenSSH_5"
"""Servers whose channels do not name a port that they chose."""

_TCP, _UNIX = b"tcpip-forward", b"streamlocal-forward@openssh.com"


class ServerListener:
    """A port or path that the server listens on for us.

    session: returns the session for a client of it; it gets the client's address and port, if any.
    """

    def __init__(self, transport: ForwardedChannelsMixin, session: SessionFactory) -> None:
        self.session = session
        self.key: ListenKey = ""
        self.is_server_chosen = False  # its port
        self._transport = transport
        self._is_closing = False
        self._closed = asyncio.Event()

    def get_port(self) -> int:
        """Return the port that the server listens on."""
        return self.key[1] if isinstance(self.key, tuple) else 0

    def close(self) -> None:
        """Refuse further channels at once, and ask the server to stop listening."""
        if not self._is_closing:
            self._is_closing = True
            self._transport.forget_listener(self)
            cancelling = self._transport.start_task(self._cancel())
            cancelling.add_done_callback(lambda _: self._closed.set())

    async def _cancel(self) -> None:
        try:
            match self.key:
                case (host, port):
                    await self._transport.request(b"cancel-" + _TCP, String(host), UInt32(port))
                case str(path):
                    await self._transport.request(b"cancel-" + _UNIX, String(path))
        except (OSError, asyncssh.Error):
            pass  # the connection has ended, and its listeners with it

    async def wait_closed(self) -> None:
        """Wait until the server has answered the request to stop listening."""
        await self._closed.wait()


class ForwardedChannelsMixin:
    """A client connection that serves only channels of its own listeners.

    descriptors: those of the process, which it shares with other connections.
    """

    create_tcp_channel: Callable[..., SSHTCPChannel[bytes]]
    create_unix_channel: Callable[..., SSHUNIXChannel[bytes]]
    start_task: Callable[..., asyncio.Task[None]]
    get_extra_info: Callable[..., Any]
    channel_count: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._listeners: dict[ListenKey, ServerListener] = {}
        self.descriptors = DescriptorPool()

    async def request(self, name: bytes, *fields: bytes) -> tuple[int, SSHPacket]:
        """Send a global request. Return the type of the reply and its content."""
        reply: tuple[int, SSHPacket] = await self._make_global_request(name, *fields)  # type: ignore[attr-defined]
        return reply

    async def create_server(self, session: SessionFactory, host: str, port: int) -> ServerListener:
        """Ask the server to listen on a port; 0 lets the server choose one.

        Raises:
            asyncssh.ChannelListenError: The server refuses.
            asyncssh.ProtocolError: The server chose an invalid port or one of another listener.
        """
        listener, host = ServerListener(self, session), host.lower()
        if port:
            await self._listen(listener, (host, port), _TCP, String(host), UInt32(port))
            return listener
        packet = await self._request_listener(_TCP, String(host), UInt32(0))
        try:
            chosen = packet.get_uint32()
        except PacketDecodeError:
            chosen = 0
        if chosen not in PORTS or (host, chosen) in self._listeners:
            raise asyncssh.ProtocolError(f"the server chose port {chosen} for a listener")
        listener.is_server_chosen = True
        self._add_listener(listener, (host, chosen))
        return listener

    async def create_unix_server(self, session: SessionFactory, path: str) -> ServerListener:
        """Ask the server to listen on a path. Raises asyncssh.ChannelListenError."""
        listener = ServerListener(self, session)
        await self._listen(listener, path, _UNIX, String(path))
        return listener

    async def _listen(
        self, listener: ServerListener, key: ListenKey, request: bytes, *fields: bytes
    ) -> None:
        """Request a listener whose channels can be predicted.

        Like ssh, serve its channels from the request on: the first one can follow the server's
        answer in the same read.
        """
        if key in self._listeners:
            raise asyncssh.ChannelListenError("this connection listens there already")
        self._add_listener(listener, key)
        try:
            await self._request_listener(request, *fields)
        except BaseException:
            self.forget_listener(listener)
            raise

    async def _request_listener(self, request: bytes, *fields: bytes) -> SSHPacket:
        kind, packet = await self.request(request, *fields)
        if kind != MSG_REQUEST_SUCCESS:
            raise asyncssh.ChannelListenError("the server refuses to listen")
        return packet

    def _add_listener(self, listener: ServerListener, key: ListenKey) -> None:
        listener.key = key
        self._listeners[key] = listener

    def forget_listener(self, listener: ServerListener) -> None:
        """Refuse the channels of a listener from now on."""
        if self._listeners.get(listener.key) is listener:
            del self._listeners[listener.key]

    def has_server_chosen_port(self, host: str) -> bool:
        """Return whether the server already listens for us on that address, on a port it chose."""
        return any(
            listener.is_server_chosen and key[0] == host.lower()
            for key, listener in self._listeners.items()
        )

    def _process_forwarded_tcpip_open(self, packet: SSHPacket) -> tuple[SSHTCPChannel[bytes], Any]:
        host, port = _text(packet), packet.get_uint32()
        origin = _text(packet), packet.get_uint32()
        packet.check_end()
        self._check_channel_count()
        listener = self._find_listener((host, port))
        channel = self.create_tcp_channel(*CHANNEL_SETTINGS)
        channel.set_inbound_peer_names(host, port, *origin)
        return channel, listener.session(*origin)

    def _process_forwarded_streamlocal_at_openssh_dot_com_open(
        self, packet: SSHPacket
    ) -> tuple[SSHUNIXChannel[bytes], Any]:
        path = _text(packet)
        packet.get_string()  # reserved (PROTOCOL section 2.4 of OpenSSH)
        packet.check_end()
        self._check_channel_count()
        listener = self._find_listener(path)
        return self.create_unix_channel(*CHANNEL_SETTINGS), listener.session()

    def _process_auth_agent_at_openssh_dot_com_open(self, packet: SSHPacket) -> Any:
        self._check_channel_count()
        try:
            self.descriptors.check()
        except OSError as error:
            raise asyncssh.ChannelOpenError(OPEN_RESOURCE_SHORTAGE, str(error.strerror)) from error
        return super()._process_auth_agent_at_openssh_dot_com_open(packet)  # type: ignore[misc]

    def _check_channel_count(self) -> None:
        if self.channel_count >= MAX_CHANNELS:
            raise asyncssh.ChannelOpenError(OPEN_RESOURCE_SHORTAGE, "too many channels are open")

    def _find_listener(self, key: ListenKey) -> ServerListener:
        """Return the listener of a channel. Raises ChannelOpenError, which refuses the channel."""
        listener = self._listeners.get(key) or self._find_without_port(key)
        if listener is None:
            message = "this client did not ask for that listener"
            raise asyncssh.ChannelOpenError(OPEN_ADMINISTRATIVELY_PROHIBITED, message)
        return listener

    def _find_without_port(self, key: ListenKey) -> ServerListener | None:
        """Return the listener of a channel that names port 0 instead of the port that was chosen.

        The sshd of OpenSSH 5 does that (SSH_BUG_DYNAMIC_RPORT in OpenSSH's compat.c). ssh then
        serves the first such listener; here there must be only one on the address.
        """
        version: str = self.get_extra_info("server_version", "")
        if not version.startswith(PORTLESS_VERSIONS):
            return None
        chosen = [each for each in self._listeners.values() if each.is_server_chosen]
        found = [each for each in chosen if (each.key[0], 0) == key]
        return found[0] if len(found) == 1 else None


def _text(packet: SSHPacket) -> str:
    return packet.get_string().decode("utf-8", "backslashreplace")
