"""asyncssh's server connection, hardened for a relay on the internet.

A bad request fails alone: for an unknown cancel, a packet size of 0 or an exception in a callback,
asyncssh would close the connection. It overrides private methods of asyncssh 2.24.1, as does
`session_refusal`. It does not decide who may log in or what a client may do.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import asyncssh
from asyncssh.connection import SSHServerConnection
from asyncssh.constants import (
    DISC_NO_MORE_AUTH_METHODS_AVAILABLE,
    MSG_CHANNEL_OPEN,
    MSG_GLOBAL_REQUEST,
    MSG_KEXINIT,
    MSG_USERAUTH_REQUEST,
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    OPEN_CONNECT_FAILED,
    OPEN_RESOURCE_SHORTAGE,
)
from asyncssh.packet import PacketDecodeError, SSHPacket, String, UInt32

from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.out_of_memory import end_if_out_of_memory
from tunnelkeeper.relay.bounded_login import BoundedLoginTransport
from tunnelkeeper.relay.session_refusal import NoShellSession, SessionChannel
from tunnelkeeper.ssh.channels import TcpChannel
from tunnelkeeper.ssh.fastpath.receive_window import MAX_PACKET
from tunnelkeeper.ssh.liveness import REPLY_HANDLERS
from tunnelkeeper.ssh.peer_text import TEXT_HANDLERS, with_ascii_name, with_readable_user
from tunnelkeeper.ssh.transport import NEEDS_FLOW_CONTROL, BaseTransport

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Coroutine

    from asyncssh.channel import SSHChannel, SSHTCPChannel, SSHUNIXChannel

    from tunnelkeeper.core.budget import Account
    from tunnelkeeper.forwarding.pump import ChannelEndpoint
    from tunnelkeeper.relay.interfaces import AuthHandler, RequestHandler

OPEN_FAILURE_CODES = {
    Reason.REFUSED: OPEN_CONNECT_FAILED,
    Reason.NETWORK_UNREACHABLE: OPEN_CONNECT_FAILED,
    Reason.HOST_UNREACHABLE: OPEN_CONNECT_FAILED,
    Reason.TIMED_OUT: OPEN_CONNECT_FAILED,
    Reason.NOT_PERMITTED: OPEN_ADMINISTRATIVELY_PROHIBITED,
    Reason.RESOURCE_SHORTAGE: OPEN_RESOURCE_SHORTAGE,
    Reason.FAILED: OPEN_CONNECT_FAILED,
}
"""The reason code of RFC 4254 section 5.1 for each reason."""

MIN_PACKET_SIZE = 2
"""Bytes of data that a client must accept per packet; asyncssh sends one less to old Dropbears."""

log = logging.getLogger(__name__)


class _ServerCallbacks(asyncssh.SSHServer):
    """asyncssh's server callbacks, forwarded to an AuthHandler."""

    def __init__(self, transport: ServerTransport, auth_handler: AuthHandler) -> None:
        self._transport = transport
        self._auth_handler = auth_handler

    def connection_lost(self, exc: Exception | None) -> None:
        """Notify the AuthHandler."""
        try:
            self._auth_handler.connection_lost(exc)
        except Exception:
            end_if_out_of_memory()
            log.exception("closing a connection failed; please report it")

    def begin_auth(self, username: str) -> bool:
        """Require authentication of every user."""
        del username
        return True

    def auth_completed(self) -> None:
        """Set the handler of the client's requests."""
        try:
            self._transport.handler = self._auth_handler.auth_completed()
        except Exception:
            end_if_out_of_memory()
            log.exception("setting up a client failed; please report it")
            self._transport.abort()

    def public_key_auth_supported(self) -> bool:
        """Offer public keys, the only method, to known and unknown users alike."""
        return True


class ServerTransport(BoundedLoginTransport, SSHServerConnection):
    """One SSH connection to the relay. handler: of its requests, set after authentication."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: asyncssh.SSHServerConnectionOptions,
        auth_handler: AuthHandler,
    ) -> None:
        super().__init__(loop, options)
        # The chosen algorithm is set in the pair, which the options share among all connections.
        self._server_host_keys = OrderedDict(
            (name, copy(pair)) for name, pair in options.server_host_keys.items()
        )
        self.handler: RequestHandler | None = None
        self._auth_handler = auth_handler
        self._protocol_factory = lambda: _ServerCallbacks(self, auth_handler)

    @property
    def has_sent_banner(self) -> bool:
        """Whether the client has sent its version string, as SSH clients do at once."""
        return bool(self._client_version)

    @property
    def client_version(self) -> str:
        """The client's version string, printable."""
        return printable(self._client_version.decode("ascii", "backslashreplace"), 100)

    @property
    def channel_count(self) -> int:
        """The number of channels that are open or being opened."""
        return len(self._channels)

    @property
    def is_full(self) -> bool:
        """Whether the channel limit is reached."""
        limit = self.handler.channel_limit if self.handler is not None else 0
        return 0 < limit <= self.channel_count

    async def reload_config(self) -> None:
        """Do nothing: asyncssh would search for config files at every login, in a thread."""

    # -- login -------------------------------------------------------------------------------

    def _process_login_try(self, pkttype: int, pktid: int, packet: SSHPacket) -> Any:
        if not self._auth_complete:
            ahead = SSHPacket(packet.get_remaining_payload())
            user, _service, method = ahead.get_string(), ahead.get_string(), ahead.get_string()
            reason = self._auth_handler.auth_requested(user, method)
            if reason is not None:
                raise asyncssh.DisconnectError(DISC_NO_MORE_AUTH_METHODS_AVAILABLE, reason)
        return self._process_userauth_request(pkttype, pktid, with_readable_user(packet))

    async def validate_public_key(
        self, username: str, key_data: bytes, msg: bytes, signature: bytes
    ) -> bool:
        """Return whether a key may log in; without msg the client only queries."""

        def verify_signature(key: asyncssh.SSHKey) -> bool:
            if not msg:
                return True
            began = self.scheduler.clock()
            try:
                algorithm = SSHPacket(signature).get_string()
                signed = String(self._session_id) + msg
                return algorithm in self._sig_algs and key.verify(signed, signature)
            except (PacketDecodeError, ValueError):
                return False
            finally:
                self.scheduler.charge_login(self, self.scheduler.clock() - began)

        return await self._auth_handler.authenticate(username, key_data, verify_signature)

    def send_userauth_failure(self, partial_success: bool) -> None:
        """Count and refuse an authentication attempt."""
        self._auth_handler.auth_failed()
        super().send_userauth_failure(partial_success)

    # -- listening ---------------------------------------------------------------------------

    def _process_any_global_request(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        self._process_bounded_request(pkttype, pktid, with_ascii_name(packet))

    def _process_tcpip_forward_global_request(self, packet: SSHPacket) -> None:
        host, port = _host_and_port(packet)
        packet.check_end()
        self.create_task(self._answer(partial(self._listen_tcp, host, port)))

    def _process_cancel_tcpip_forward_global_request(self, packet: SSHPacket) -> None:
        host, port = _host_and_port(packet)
        packet.check_end()
        self._report_global_response(
            self.handler is not None and self.handler.cancel_tcp(host, port)
        )

    def _process_streamlocal_forward_at_openssh_dot_com_global_request(
        self, packet: SSHPacket
    ) -> None:
        path = _text(packet.get_string())
        packet.check_end()
        self.create_task(self._answer(partial(self._listen_path, path)))

    def _process_cancel_streamlocal_forward_at_openssh_dot_com_global_request(
        self, packet: SSHPacket
    ) -> None:
        path = _text(packet.get_string())
        packet.check_end()
        self._report_global_response(self.handler is not None and self.handler.cancel_path(path))

    async def _listen_tcp(self, host: str, port: int) -> bool | bytes:
        if self.handler is None:
            return False
        bound = await self.handler.listen_tcp(host, port)
        return UInt32(bound) if port == 0 else True  # RFC 4254 section 7.1

    async def _listen_path(self, path: str) -> bool:
        if self.handler is None:
            return False
        await self.handler.listen_path(path)
        return True

    async def _answer(self, work: Callable[[], Awaitable[bool | bytes]]) -> None:
        try:
            result = await work()
        except ConnectError as refusal:
            if refusal.reason in {Reason.NOT_PERMITTED, Reason.RESOURCE_SHORTAGE}:
                self.send_debug(f"port forwarding refused: {refusal}")  # as OpenSSH's sshd does
            result = False
        except Exception:
            end_if_out_of_memory()
            log.exception("a request to listen failed; please report it")
            result = False
        self._report_global_response(result)

    # -- channels ----------------------------------------------------------------------------

    def _process_any_channel_open(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        ahead = SSHPacket(packet.get_remaining_payload())
        kind, number = ahead.get_string(), ahead.get_uint32()
        _window, size = ahead.get_uint32(), ahead.get_uint32()
        if not kind.isascii():
            self._refuse_channel(number, OPEN_CONNECT_FAILED, "unknown channel type")
        elif size < MIN_PACKET_SIZE:
            self._refuse_channel(number, OPEN_CONNECT_FAILED, f"a packet size of {size} bytes")
        elif self.is_full:
            self._refuse_channel(number, OPEN_RESOURCE_SHORTAGE, "too many channels are open")
        else:
            self._process_channel_open(pkttype, pktid, packet)

    def add_channel(self, chan: SSHChannel[Any]) -> int:
        """Add a channel, opened by either side. Raise ChannelOpenError if there are too many."""
        number = super().add_channel(chan)
        refusal = self.handler.take_channel() if self.handler is not None else None
        if refusal is not None:
            super(BaseTransport, self).remove_channel(number)
            raise asyncssh.ChannelOpenError(OPEN_RESOURCE_SHORTAGE, refusal)
        return number

    def remove_channel(self, recv_chan: int) -> None:
        """Remove a channel that is closed on both sides."""
        super().remove_channel(recv_chan)
        if self.handler is not None:
            self.handler.give_back_channel()

    def _refuse_channel(self, number: int, code: int, reason: str) -> None:
        self.send_channel_open_failure(number, code, reason, "en")

    def _process_direct_tcpip_open(self, packet: SSHPacket) -> tuple[SSHTCPChannel[bytes], Any]:
        host, port = _host_and_port(packet)
        packet.get_string()  # the originator, which is not used
        packet.get_uint32()
        packet.check_end()
        handler = self._require_handler()
        return self.create_tcp_channel(max_pktsize=MAX_PACKET), _translate_refusal(
            handler.open_tcp(host, port)
        )

    def _process_direct_streamlocal_at_openssh_dot_com_open(
        self, packet: SSHPacket
    ) -> tuple[SSHUNIXChannel[bytes], Any]:
        path = _text(packet.get_string())
        packet.get_string()  # reserved (OpenSSH's PROTOCOL, section 2.4)
        packet.get_uint32()
        packet.check_end()
        handler = self._require_handler()
        return self.create_unix_channel(max_pktsize=MAX_PACKET), _translate_refusal(
            handler.open_path(path)
        )

    def _process_session_open(self, packet: SSHPacket) -> tuple[SessionChannel, NoShellSession]:
        packet.check_end()
        channel = self.create_counted_channel(partial(SessionChannel, self, self._loop), MAX_PACKET)
        return channel, NoShellSession()

    async def open_forwarded_tcpip(
        self,
        session: Callable[[], ChannelEndpoint],
        host: str,
        port: int,
        origin: tuple[str, int],
        payer: Account[Any] | None = None,
    ) -> None:
        """Open a channel to the client for one who came to a port or a name of it.

        payer: the account that the memory counts for; None for that of the client. Raises what
        asyncssh raises.
        """
        if payer is not None and NEEDS_FLOW_CONTROL:
            create = partial(TcpChannel, self, self._loop, None, "strict")
            channel: Any = self.create_counted_channel(create, MAX_PACKET, payer)
        else:
            channel = self.create_tcp_channel(max_pktsize=MAX_PACKET)
        await channel.accept(cast("Any", session), host, port, *origin)

    async def open_forwarded_streamlocal(
        self, session: Callable[[], ChannelEndpoint], path: str
    ) -> None:
        """Open a channel to the client for one who came to a Unix socket of it.

        Raises what asyncssh raises.
        """
        channel = self.create_unix_channel(max_pktsize=MAX_PACKET)
        await channel.accept(cast("Any", session), path)

    def _require_handler(self) -> RequestHandler:
        if self.handler is None:
            raise asyncssh.ChannelOpenError(OPEN_CONNECT_FAILED, "the connection is being closed")
        return self.handler

    _packet_handlers = {  # noqa: RUF012  asyncssh's table, by number of the message
        **SSHServerConnection._packet_handlers,  # noqa: SLF001
        **TEXT_HANDLERS,
        **REPLY_HANDLERS,
        MSG_KEXINIT: BoundedLoginTransport.process_kexinit,
        MSG_USERAUTH_REQUEST: _process_login_try,
        MSG_GLOBAL_REQUEST: _process_any_global_request,
        MSG_CHANNEL_OPEN: _process_any_channel_open,
    }


async def _translate_refusal(opening: Coroutine[Any, Any, ChannelEndpoint]) -> ChannelEndpoint:
    """Await a session; translate every failure to the ChannelOpenError that asyncssh expects."""
    try:
        return await opening
    except ConnectError as refusal:
        code = OPEN_FAILURE_CODES[refusal.reason]
        raise asyncssh.ChannelOpenError(code, printable(str(refusal))) from refusal
    except Exception as error:
        end_if_out_of_memory()
        log.exception("opening a channel failed; please report it")
        raise asyncssh.ChannelOpenError(OPEN_CONNECT_FAILED, "internal error") from error


def _host_and_port(packet: SSHPacket) -> tuple[str, int]:
    return _text(packet.get_string()), packet.get_uint32()


def _text(data: bytes) -> str:
    """Decode a host or path; invalid UTF-8 becomes text that names no host."""
    return data.decode("utf-8", "backslashreplace")
