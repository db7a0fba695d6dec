"""asyncssh's client connection with what a long-lived tunnel needs in addition.

It records when data last arrived, pauses the writers of a congested link, bounds the receive queue
of a channel with a slow reader, and reports the steps of the login. It decides nothing about
tunnels. BaseTransport has the parts that the relay's connections share.

It overrides private parts of asyncssh and rests on asyncssh 2.24.1.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.channel import SSHClientChannel, SSHTCPChannel, SSHUNIXChannel
from asyncssh.connection import SSHClientConnection
from asyncssh.constants import MSG_GLOBAL_REQUEST, MSG_KEXINIT, MSG_USERAUTH_FAILURE
from asyncssh.public_key import decode_ssh_public_key

from tunnelkeeper.ssh.asyncssh_logging import SILENCE
from tunnelkeeper.ssh.auth.agent import SessionBinding
from tunnelkeeper.ssh.auth.algorithms import ServerSignatures
from tunnelkeeper.ssh.auth.key_blobs import host_key_in
from tunnelkeeper.ssh.auth.login_replies import process_failure
from tunnelkeeper.ssh.auth.method_choice import MethodChoiceMixin
from tunnelkeeper.ssh.auth.openssh_certificate import is_certificate, parse_certificate
from tunnelkeeper.ssh.bounded_connection import BoundedConnection
from tunnelkeeper.ssh.channel_usage import ChannelUsageMixin
from tunnelkeeper.ssh.channels import CommandChannel, TcpChannel, UnixChannel
from tunnelkeeper.ssh.debug_messages import DebugMessageMixin
from tunnelkeeper.ssh.fastpath.receive_window import MAX_PACKET, OPEN_WINDOW
from tunnelkeeper.ssh.fastpath.write_scheduler import WriteScheduler
from tunnelkeeper.ssh.forwarded_channels import ForwardedChannelsMixin
from tunnelkeeper.ssh.greeting import GreetingMixin
from tunnelkeeper.ssh.group_exchange import limited
from tunnelkeeper.ssh.host_keys_requests import HostKeysMixin
from tunnelkeeper.ssh.liveness import REPLY_HANDLERS
from tunnelkeeper.ssh.negotiation import check_host_signature, process_kexinit
from tunnelkeeper.ssh.peer_text import TEXT_HANDLERS, with_ascii_name

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from asyncssh.packet import SSHPacket

    from tunnelkeeper.core.snapshot import Step
    from tunnelkeeper.forwarding.pump import ChannelEndpoint
    from tunnelkeeper.net.stream_transport import BufferList
    from tunnelkeeper.ssh.auth.identities import Offer
    from tunnelkeeper.ssh.auth.openssh_certificate import Certificate
    from tunnelkeeper.ssh.fastpath.write_scheduler import LinkWriter


AFFECTED_VERSIONS = frozenset({"2.24.1"})
"""asyncssh versions that give a peer window credit for data that still waits in a channel's queue.

With them, the queue of a slow reader grows without bound.
"""

NEEDS_FLOW_CONTROL = asyncssh.__version__ in AFFECTED_VERSIONS


class BaseTransport(ChannelUsageMixin, BoundedConnection):
    """The parts that connections of clients and servers share.

    Attributes:
        last_received_at: Monotonic seconds of the last data received.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._logger = SILENCE  # type: ignore[assignment]
        self.last_received_at = time.monotonic()
        self.writers = WriteScheduler()
        self._pause_count = 0

    @property
    def is_stalled(self) -> bool:
        """Whether the link is congested and takes no more data for now."""
        return self._pause_count > 0

    def data_received(self, data: bytes | BufferList, datatype: Any = None) -> None:
        """Process data from the peer, and record when it arrived."""
        self.last_received_at = time.monotonic()
        super().data_received(data, datatype)

    def _recv_version(self) -> bool:
        try:
            return super()._recv_version()
        except UnicodeDecodeError:  # asyncssh has stored a version that is not ASCII
            version = self._client_version if self.is_server() else self._server_version
            key = "client_version" if self.is_server() else "server_version"
            self.set_extra_info(**{key: version.decode("ascii", "backslashreplace")})
            self._send_kexinit()
            self._kexinit_sent = True
            self._recv_handler = self._recv_pkthdr
            return True

    def pause_writing(self) -> None:
        """Pause the writers. Behind a jump host, its channel and its link both call this."""
        self._pause_count += 1
        if self._pause_count == 1:
            for writer in self.writers:
                writer.pause_link()

    def resume_writing(self) -> None:
        """Resume the writers once every cause of the pause is gone."""
        self._pause_count -= 1
        if self._pause_count == 0:
            for writer in self.writers:
                writer.resume_link()

    # A connection that runs through another one is one of its writers.
    pause_link = pause_writing
    resume_link = resume_writing

    def _send_kexinit(self) -> None:
        # asyncssh buffers all output until the new keys are in use, and the peer may never finish
        # the key exchange. Reading from the peers of its channels must pause meanwhile.
        self.pause_link()
        super()._send_kexinit()

    def send_newkeys(self, k: bytes, h: bytes) -> None:
        """Finish a key exchange and resume reading for the peer."""
        super().send_newkeys(k, h)
        self.resume_link()

    def add_writer(self, writer: LinkWriter) -> None:
        """Pause and resume a writer together with this link."""
        self.writers.add(writer)
        if self.is_stalled:
            writer.pause_link()

    def register(
        self, endpoint: ChannelEndpoint, on_gone: Callable[[], None] | None = None
    ) -> None:
        """Add a channel's endpoint to the writers until the channel closes, then call on_gone."""

        def gone() -> None:
            self.writers.discard(endpoint)
            if on_gone is not None:
                on_gone()

        endpoint.on_closed = gone
        self.add_writer(endpoint)

    def create_tcp_channel(
        self,
        encoding: Any = None,
        errors: Any = "strict",
        window: Any = OPEN_WINDOW,
        max_pktsize: Any = MAX_PACKET,
    ) -> SSHTCPChannel[bytes]:
        """Return a new TCP channel with bounded memory; the budget decides on its window.

        Raises ChannelOpenError if no memory is left for it.
        """
        if not NEEDS_FLOW_CONTROL:
            return super().create_tcp_channel(encoding, errors, window, max_pktsize)
        create = partial(TcpChannel, self, self._loop, encoding, errors)
        return self.create_counted_channel(create, max_pktsize)

    def create_unix_channel(
        self,
        encoding: Any = None,
        errors: Any = "strict",
        window: Any = OPEN_WINDOW,
        max_pktsize: Any = MAX_PACKET,
    ) -> SSHUNIXChannel[bytes]:
        """Return a new Unix-socket channel with bounded memory.

        Raises ChannelOpenError if no memory is left for it.
        """
        if not NEEDS_FLOW_CONTROL:
            return super().create_unix_channel(encoding, errors, window, max_pktsize)
        create = partial(UnixChannel, self, self._loop, encoding, errors)
        return self.create_counted_channel(create, max_pktsize)

    def start_task(self, coroutine: Any) -> asyncio.Task[None]:
        """Run a coroutine in a task that ends with this connection."""
        return self.create_task(coroutine)


class ClientTransport(  # type: ignore[misc]  # create_server returns a listener of our own
    MethodChoiceMixin,
    HostKeysMixin,
    GreetingMixin,
    ForwardedChannelsMixin,
    DebugMessageMixin,
    BaseTransport,
    SSHClientConnection,
):
    """One SSH connection to a server.

    Attributes:
        on_step: Called with each step of the login.
        key_exchange: The name of the last key exchange.
        counts_received: Whether received bytes count towards the rekey limit too, as with
            RekeyLimit of ssh. asyncssh counts only what it sends.
        check_host_key: Called with the key or certificate that the server presents, before it is
            validated. It raises HostKeyNotVerifiable to refuse it.
        prepare_for_key: Called with the key or certificate, and awaited before check_host_key.
        verify_certificate: Returns whether to accept a host certificate or the key in it.
        before_login: Called when the host key is verified. What it returns is awaited before
            anything of the login is sent. It may raise HostKeyNotVerifiable.
    """

    def _process_request(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        self._process_bounded_request(pkttype, pktid, with_ascii_name(packet))

    _packet_handlers = {  # noqa: RUF012  asyncssh's table, by number of the message
        **SSHClientConnection._packet_handlers,  # noqa: SLF001
        **TEXT_HANDLERS,
        **REPLY_HANDLERS,
        MSG_KEXINIT: process_kexinit,
        MSG_USERAUTH_FAILURE: process_failure,
        MSG_GLOBAL_REQUEST: _process_request,
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_step: Callable[[Step], None] | None = None
        self.key_exchange = ""
        self.counts_received = False
        self._received_since_rekey = 0
        self.check_host_key: Callable[[bytes], None] | None = None
        self.prepare_for_key: Callable[[bytes], Awaitable[None]] | None = None
        self.verify_certificate: Callable[[Certificate], bool] | None = None
        self.before_login: Callable[[], Awaitable[None] | None] | None = None
        self._accepted_host_key = b""
        self._exchange_signature = b""

    def data_received(self, data: bytes | BufferList, datatype: Any = None) -> None:
        """Process data from the peer, and start a key exchange when the limit is reached."""
        super().data_received(data, datatype)
        if self.counts_received:
            self._received_since_rekey += len(data)
            if self._received_since_rekey >= self._rekey_bytes:
                # The next packet starts it: at the latest a window update for this data.
                self._rekey_bytes_sent = self._rekey_bytes

    def _send_kexinit(self) -> None:
        self._received_since_rekey = 0
        super()._send_kexinit()

    def _choose_alg(self, alg_type: str, *lists: Any) -> bytes:
        chosen: bytes = super()._choose_alg(alg_type, *lists)
        if alg_type == "key exchange":
            self.key_exchange = chosen.decode("ascii")
        return chosen

    @property
    def _kex(self) -> Any:
        """The key exchange in progress. asyncssh passes it the packets that belong to it."""
        return self._running_kex

    @_kex.setter
    def _kex(self, kex: Any) -> None:
        self._running_kex = kex = limited(kex)
        if kex is not None and self.prepare_for_key is not None and not self.has_exchanged_keys:
            kex.process_packet = partial(self._process_kex_packet, kex.process_packet)

    def _process_kex_packet(
        self, process: Callable[..., Any], kind: int, number: int, packet: SSHPacket
    ) -> Any:
        """Let prepare_for_key finish before a packet with the server's host key is processed."""
        blob = host_key_in(packet.get_remaining_payload())
        if blob is None or self.prepare_for_key is None:
            return process(kind, number, packet)
        prepared = self.prepare_for_key(blob)

        async def process_when_prepared() -> None:
            await prepared
            process(kind, number, packet)

        return process_when_prepared()

    def create_command_channel(self) -> SSHClientChannel[bytes]:
        """Return a new session channel that delivers bytes."""
        window, packet = self._options.window, self._options.max_pktsize
        if NEEDS_FLOW_CONTROL:
            create = partial(CommandChannel, self, self._loop, "strict", None, "strict")
            return self.create_counted_channel(create, packet)
        return SSHClientChannel(self, self._loop, "strict", None, "strict", window, packet)

    def forward_agent(self, path: str) -> None:
        """Let the server's programs use the agent at this socket."""
        self._agent_forward_path = path

    async def _make_global_request(self, request: bytes, *args: bytes) -> Any:
        await self.wait_for_first_keepalive()
        return await super()._make_global_request(request, *args)

    @property
    def has_exchanged_keys(self) -> bool:
        """Whether the server has proved that it owns its host key."""
        return self.get_extra_info("send_cipher") is not None

    @property
    def server_signatures(self) -> ServerSignatures:
        """What the server says about the signatures that it accepts."""
        names = (name.decode("ascii", "replace") for name in self._server_sig_algs)
        return ServerSignatures(frozenset(names), self.get_extra_info("server_version") or "")

    async def public_key_auth_requested(self) -> Offer | None:  # type: ignore[override]
        """Return the next key to offer, or None.

        asyncssh would choose the signature algorithm of RSA keys itself, offer an RSA certificate
        under two names, and refuse certificates that an agent holds.
        """
        callbacks: Any = self._owner
        offer: Offer | None = await callbacks.public_key_auth_requested()
        return offer

    def validate_server_host_key(self, key_data: bytes) -> asyncssh.SSHKey:
        """Report the step, and validate the server's host key.

        The key or certificate that was accepted at the beginning of the connection stays accepted:
        a certificate that expires must not end the connection when its keys are renewed.
        """
        self._report_step("host_key")
        if self._server_host_key is not None and key_data == self._accepted_host_key:
            return self._server_host_key
        if self.check_host_key is not None:
            self.check_host_key(key_data)
        host_key = super().validate_server_host_key(key_data)
        self._accepted_host_key = key_data
        self._record_signature_of(host_key)
        return host_key

    def _record_signature_of(self, host_key: asyncssh.SSHKey) -> None:
        """Keep the server's signature of the first key exchange, which asyncssh does not.

        Refuse a signature with another algorithm than those offered, which asyncssh accepts.
        """
        verify: Callable[[bytes, bytes], bool] = host_key.verify

        def verify_and_record(data: bytes, signature: bytes) -> bool:
            check_host_signature(signature, self._server_host_key_algs or ())
            is_valid = verify(data, signature)
            if is_valid and not self._session_id:
                self._exchange_signature = signature
            return is_valid

        host_key.verify = verify_and_record  # type: ignore[assignment, method-assign]

    @property
    def session_binding(self) -> SessionBinding | None:
        """What binds an agent to this connection, after the key exchange."""
        if not self._exchange_signature:
            return None
        return SessionBinding(self._accepted_host_key, self._session_id, self._exchange_signature)

    def _validate_host_key(
        self, host: str, addr: str, port: int, key_data: bytes
    ) -> asyncssh.SSHKey:
        """Return the host key, also of a certificate. Raise ValueError if it is not accepted."""
        if not is_certificate(key_data):
            return super()._validate_host_key(host, addr, port, key_data)
        certificate = parse_certificate(key_data)
        if self.verify_certificate is None or not self.verify_certificate(certificate):
            raise ValueError("the host certificate is not accepted")
        return decode_ssh_public_key(certificate.key)

    def send_service_request(self, service: bytes) -> None:
        """Report the step, and start the login. The host key is valid."""
        preparation = self.before_login() if self.before_login is not None else None
        if preparation is not None:
            self.start_task(self._start_login_after(preparation, service))
            return
        self._report_step("login")
        super().send_service_request(service)

    async def _start_login_after(self, preparation: Awaitable[None], service: bytes) -> None:
        await preparation
        self._report_step("login")
        super().send_service_request(service)

    def _report_step(self, step: Step) -> None:
        if self.on_step is not None:
            self.on_step(step)
