"""One SSH connection to one host: its channels, remote listeners and end.

It knows only its own hop. The connection that it runs through, if any, is its `jump`.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import asyncssh
from asyncssh.constants import OPEN_CONNECT_FAILED, OPEN_RESOURCE_SHORTAGE

from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.failures import Cause, Failure, FailureError
from tunnelkeeper.core.forward_spec import Address, TcpAddress, UnixAddress
from tunnelkeeper.net.dial import set_traffic_class
from tunnelkeeper.net.out_of_memory import end_if_out_of_memory
from tunnelkeeper.ssh.debug_messages import ForwardForbiddenError
from tunnelkeeper.ssh.errors import describe, to_connect_error, to_failure
from tunnelkeeper.ssh.idle_channels import IdleChannels, channel_types
from tunnelkeeper.ssh.keepalive_monitor import KeepaliveMonitor
from tunnelkeeper.ssh.listen_diagnosis import diagnose, forbidden
from tunnelkeeper.ssh.liveness import KeepaliveSupport
from tunnelkeeper.ssh.open_channel import open_channel
from tunnelkeeper.ssh.remote_command import CommandKind, CommandRefusedError
from tunnelkeeper.ssh.remote_listener import ListenProbe, RemoteListener, listen_host

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from asyncssh.channel import SSHChannel

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.core.connect_error import OnError
    from tunnelkeeper.forwarding.pump import ChannelEndpoint
    from tunnelkeeper.ssh.client_callbacks import ClientCallbacks
    from tunnelkeeper.ssh.forwarded_channels import ServerListener
    from tunnelkeeper.ssh.proxy_command import ProxyCommand
    from tunnelkeeper.ssh.remote_command import CommandEndpoint, RemoteCommand
    from tunnelkeeper.ssh.transport import ClientTransport

T = TypeVar("T")

ANSWER_TIMEOUT = 30.0
"""Seconds for the server's answer to a request that it can decide alone."""

CLOSE_TIMEOUT = 2.0
"""Seconds a connection may take to close before it is aborted."""


class Connection:
    """A live connection to one host."""

    def __init__(
        self,
        host: Host,
        transport: ClientTransport,
        callbacks: ClientCallbacks,
        jump: Connection | None = None,
        proxy: ProxyCommand | None = None,
    ) -> None:
        self.host = host
        self.jump = jump
        self.transport = transport
        self._callbacks = callbacks
        self._proxy = proxy
        jump_monitor = jump.keepalive_monitor if jump is not None else None
        self.keepalive_monitor: KeepaliveMonitor = KeepaliveMonitor(
            transport, host.keepalive, jump_monitor
        )
        self.unused_timeout: float | None = None
        """The seconds after which the server closes it without a channel, if that is known."""
        self._diagnoses: dict[Address, Failure] = {}
        self._listening: dict[Address, asyncio.Task[None]] = {}  # unanswered requests
        self._idle_channels = IdleChannels(host.channel_timeout)
        transport.unused_since = time.monotonic()  # it has just logged in
        self.set_traffic_class(host.ip_qos.bulk)
        if jump is not None:
            jump.transport.add_writer(transport)

    def _register(self, endpoint: ChannelEndpoint, types: Sequence[str]) -> None:
        """Let the connection pause and close a channel. types: the names of its type."""
        self.transport.register(endpoint, lambda: self._idle_channels.remove(endpoint))
        self._idle_channels.add(types, endpoint)

    def set_traffic_class(self, value: int | None) -> None:
        """Set the type of service of its packets (IPQoS). Only a direct connection has one."""
        sock = self.transport.get_extra_info("socket")
        if value is not None and self.jump is None and self._proxy is None and sock is not None:
            set_traffic_class(sock, value)

    @property
    def is_closed(self) -> bool:
        """Whether it has ended or is ending."""
        return self._callbacks.ended.done() or self.transport.is_closed()

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The jump hosts that it goes through, first hop first, and its own host."""
        return (*(self.jump.hosts if self.jump is not None else ()), self.host)

    @property
    def cipher(self) -> str | None:
        """The cipher of what we send."""
        name = self.transport.get_extra_info("send_cipher")
        return name if isinstance(name, str) else None

    @property
    def key_exchange(self) -> str:
        """The method of the last key exchange."""
        return self.transport.key_exchange

    @property
    def rtt_ms(self) -> float | None:
        """The round trip of the last keepalive, in milliseconds."""
        return self.keepalive_monitor.rtt_ms

    def probe(self) -> None:
        """Send a keepalive now and expect its answer soon (core.keepalive.probe_now)."""
        if not self.is_closed:
            self.keepalive_monitor.probe_now()

    def measure_round_trip(self, log: Callable[[str], None]) -> None:
        """Measure the round trip, once the server has answered what the user asked for.

        Args:
            log: Called if the server ignores keepalives.
        """
        self.keepalive_monitor.measure_round_trip(lambda text: log(f"{self.host}: it {text}"))

    @property
    def answers_keepalives(self) -> bool | None:
        """Whether the server answers keepalives, or None if that is not known yet."""
        support = self.transport.keepalive_support
        unknown = support is KeepaliveSupport.UNKNOWN
        return None if unknown else support is KeepaliveSupport.ANSWERED

    async def wait_for_answer(self) -> None:
        """Wait until the server answers a request or the connection has ended.

        After a login, sshd is busy for about 0.1 s before it handles a request to listen.

        Raises:
            FailureError: It does not answer within ANSWER_TIMEOUT.
        """
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await self.transport.send_keepalive()
        except TimeoutError:
            raise FailureError(self._unanswered("any request")) from None
        except (OSError, asyncssh.Error):
            pass

    def _unanswered(self, request: str) -> Failure:
        message = f"the server has not answered {request} within {ANSWER_TIMEOUT:g} s"
        hint = "it must answer (RFC 4254 section 4): is it overloaded, or is its SSH server broken?"
        return Failure(Cause.TIMEOUT, message, str(self.host), hint)

    @property
    def channel_count(self) -> int:
        """The number of channels that are open or opening."""
        return self.transport.channel_count

    @property
    def unused_seconds(self) -> float | None:
        """For how long it has had no channel, or None while it has one."""
        since = self.transport.unused_since
        return None if since is None else time.monotonic() - since

    @property
    def was_closed_by_server(self) -> bool:
        """Whether the server ended it without a reason, as sshd does with unused connections."""
        ended = self._callbacks.ended
        return ended.done() and type(ended.result()) is asyncssh.ConnectionLost

    def call_when_idle(self, callback: Callable[[], None] | None) -> None:
        """Call back when the last channel is closed, at once if there is none.

        None removes the callback.
        """
        self.transport.on_idle = callback
        if callback is not None and not self.channel_count:
            callback()

    async def wait_ended(self) -> Failure:
        """Wait for the end and return its failure. The first hop that ended is blamed."""
        error = await asyncio.shield(self._callbacks.ended)
        await self._release()
        if self.jump is not None and self.jump.is_closed:
            return await self.jump.wait_ended()
        return to_failure(error, str(self.host), "forwards")

    async def close(self) -> None:
        """Close the connection. Abort it after CLOSE_TIMEOUT."""
        self.transport.close()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self.transport.wait_closed()
        finally:
            self.transport.abort()
            await self._release()

    def open_channel(
        self, target: Address, endpoint: ChannelEndpoint, origin: tuple[str, int], on_error: OnError
    ) -> None:
        """Open a channel to a target seen from the server, with the endpoint as its session.

        Either endpoint.connection_made or refused is called, once.
        """

        def session() -> ChannelEndpoint:
            self._register(endpoint, channel_types("direct", target))
            return endpoint

        def failed(error: Exception) -> None:
            on_error(to_connect_error(error))

        open_channel(self.transport, target, origin, session, failed)

    async def open_transport(self, hostname: str, port: int, inner: ClientTransport) -> None:
        """Run another SSH connection through this one (ssh -J).

        Raises:
            OSError, asyncssh.Error: As asyncssh raises them.
        """
        opening = self.transport.create_connection(lambda: inner, hostname, port)  # type: ignore[arg-type,return-value]
        await self._shielded_request(opening, _abort)

    async def run_command(self, command: RemoteCommand, endpoint: CommandEndpoint) -> None:
        """Start a command on the server, with the endpoint as its session.

        Raises:
            CommandRefusedError: The server does not start it.
        """

        def session() -> Any:
            self._register(endpoint, ("session", f"session:{command.kind.value}"))
            return endpoint

        if command.agent_socket is not None:
            self.transport.forward_agent(command.agent_socket)
        terminal = command.terminal
        text: Any = os.fsencode(command.text)
        if terminal is not None:
            self.set_traffic_class(self.host.ip_qos.interactive)
        try:
            opening = self.transport.create_command_channel().create(
                session,
                # As bytes: arguments and variables of this machine may be in any encoding.
                command=text if command.kind is CommandKind.COMMAND else None,
                subsystem=text if command.kind is CommandKind.SUBSYSTEM else None,
                env={os.fsencode(name): os.fsencode(value) for name, value in command.environment},
                request_pty=terminal is not None,
                term_type=terminal.name if terminal else None,
                term_size=(terminal.columns, terminal.lines) if terminal else None,
                term_modes=dict(terminal.modes) if terminal else {},
                x11_forwarding=False,
                x11_display=None,
                x11_auth_path=None,
                x11_single_connection=False,
                agent_forwarding=command.agent_socket is not None,
            )
            await self._shielded_request(opening, lambda _: endpoint.abort())
        except (OSError, asyncssh.Error, ValueError) as error:
            raise CommandRefusedError(describe(error)) from error

    async def listen(
        self, address: Address, accept: Callable[[], Awaitable[ChannelEndpoint]]
    ) -> RemoteListener:
        """Ask the server to listen. Each of its clients gets the session that `accept` returns.

        Raises:
            FailureError: The server does not listen, or does not answer within ANSWER_TIMEOUT.
        """
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT) as limit:
                listener = await self._request_listener(address, accept)
        except ForwardForbiddenError as error:
            version = str(self.transport.get_extra_info("server_version", ""))
            failure = forbidden(address, str(self.host), error.reason, version)
            raise FailureError(failure) from error
        except asyncssh.ChannelListenError as error:
            raise FailureError(await self._diagnose_refusal(address)) from error
        except (OSError, asyncssh.Error, ValueError) as error:
            if limit.expired():
                failure = self._unanswered(f"the request to listen on {address}")
                raise FailureError(failure) from error
            raise FailureError(to_failure(error, str(self.host), "forwards")) from error
        return RemoteListener(address, listener)

    async def _request_listener(
        self, address: Address, accept: Callable[[], Awaitable[ChannelEndpoint]]
    ) -> ServerListener:
        """Request a listener, but not while an earlier request for it is unanswered.

        A server that is only slow has then stopped to listen for the earlier one, and one that
        never answers is not asked again and again.
        """
        earlier = self._listening.get(address)
        if earlier is not None:
            await asyncio.wait({earlier})

        async def session(*_origin: object) -> Any:
            try:
                endpoint = await accept()
            except ConnectError as refusal:
                is_short = refusal.reason is Reason.RESOURCE_SHORTAGE
                code = OPEN_RESOURCE_SHORTAGE if is_short else OPEN_CONNECT_FAILED
                raise asyncssh.ChannelOpenError(code, str(refusal)) from refusal
            except Exception as error:
                end_if_out_of_memory()
                raise asyncssh.ChannelOpenError(OPEN_CONNECT_FAILED, describe(error)) from error
            if self.is_closed:  # it ended while the target was being connected
                endpoint.abandon()
            self._register(endpoint, channel_types("forwarded", address))
            return endpoint

        match address:
            case TcpAddress(host=host, port=port):
                request: Awaitable[ServerListener] = self.transport.create_server(
                    session, listen_host(host), port
                )
            case UnixAddress(path=path):
                request = self.transport.create_unix_server(session, path)
        answer, task = self._start_request(request, lambda late: late.close())
        self._listening[address] = task
        task.add_done_callback(lambda _: self._listening.pop(address, None))
        return await answer

    async def _diagnose_refusal(self, address: Address) -> Failure:
        # Once: otherwise every attempt would connect to the program that holds the port.
        if address not in self._diagnoses:
            probe = ListenProbe(self.transport, self._shielded_request)
            self._diagnoses[address] = await diagnose(probe, address, str(self.host))
        return self._diagnoses[address]

    async def _shielded_request(self, request: Awaitable[T], discard: Callable[[T], None]) -> T:
        """Await a request that continues when the caller is cancelled.

        A result that comes after that is passed to `discard`, so that nothing leaks.
        """
        result, _ = self._start_request(request, discard)
        return await result

    def _start_request(
        self, request: Awaitable[T], discard: Callable[[T], None]
    ) -> tuple[asyncio.Future[T], asyncio.Task[None]]:
        """Start a request. Return its result, which may be cancelled, and its task."""
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            try:
                value = await request
            except Exception as error:
                end_if_out_of_memory()
                if not result.done():
                    result.set_exception(error)
            except asyncio.CancelledError:  # the program ends
                result.cancel()
                raise
            else:
                if result.done():
                    discard(value)
                else:
                    result.set_result(value)

        return result, self.transport.start_task(run())

    async def _release(self) -> None:
        self.keepalive_monitor.stop()
        if self.jump is not None:
            self.jump.transport.writers.discard(self.transport)
        if self._proxy is not None:
            await self._proxy.terminate()


def _abort(opened: tuple[SSHChannel[bytes], object]) -> None:
    opened[0].abort()
