"""One client that is logged in: what it listens on, what it opens, and its end.

It is the desk of its transport: each request is judged by policy, then done or refused, and a
refusal is noted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tunnelkeeper.clock import iso_now
from tunnelkeeper.core.configuration import Keepalive
from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.forward_spec import EVERY_INTERFACE, LOOPBACK, TcpAddress, UnixAddress
from tunnelkeeper.relay import bind, open_target, policy
from tunnelkeeper.relay.channels import Channels, Origin, client_left_error
from tunnelkeeper.relay.open_target import ensure_allowed
from tunnelkeeper.relay.refusal_log import RefusalKind
from tunnelkeeper.relay.registry import AlreadyBoundError, Binding, Name, listen_name
from tunnelkeeper.relay.resolver import Resolver
from tunnelkeeper.ssh.errors import PeerDeadError
from tunnelkeeper.ssh.keepalive_monitor import KeepaliveMonitor

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tunnelkeeper.forwarding.pump import ChannelEndpoint
    from tunnelkeeper.relay.context import RelayContext
    from tunnelkeeper.relay.key_auth import Admitted
    from tunnelkeeper.relay.transport import ServerTransport

log = logging.getLogger(__name__)

T = TypeVar("T")


class ClientSession:
    """A connection that is logged in. address: where it comes from. since: ISO 8601."""

    def __init__(
        self,
        transport: ServerTransport,
        admitted: Admitted,
        address: TcpAddress,
        context: RelayContext,
    ) -> None:
        self.transport = transport
        self.admitted = admitted
        self.address = address
        self.since = iso_now()
        self.channels = Channels(transport)
        self.keepalive_monitor = KeepaliveMonitor(transport, context.configuration.limits.keepalive)
        self._context = context
        self._resolver = Resolver()

    def __str__(self) -> str:
        return f"{self.admitted.user}@{self.address}"

    @property
    def bindings(self) -> list[Binding]:
        """What it listens on, oldest first."""
        return self._context.registry.of(self)

    def connection_lost(self) -> None:
        """The connection is gone: give up what it holds."""
        self.keepalive_monitor.stop()
        for binding in self.bindings:
            self._context.registry.release(binding)

    # -- registry.Holder ---------------------------------------------------------------------

    @property
    def identity(self) -> tuple[str, bytes]:
        """See Holder."""
        return self.admitted.identity

    async def open_channel(
        self, binding: Binding, origin: Origin, on_made: Callable[[ChannelEndpoint], None]
    ) -> ChannelEndpoint:
        """See Holder."""
        return await self.channels.open_channel(binding, origin, on_made)

    def probe_liveness(self) -> None:
        """See Holder."""
        self.transport.start_task(self._probe_liveness())

    # -- desk.Desk ---------------------------------------------------------------------------

    @property
    def channel_limit(self) -> int:
        """See Desk."""
        return self._context.configuration.limits.channels_per_connection

    async def open_tcp(self, host: str, port: int) -> ChannelEndpoint:
        """See Desk."""
        return await self._record_refusals(RefusalKind.OPEN, self._open_tcp(host, port))

    async def open_path(self, path: str) -> ChannelEndpoint:
        """See Desk."""
        return await self._record_refusals(RefusalKind.OPEN, self._open_path(path))

    async def listen_tcp(self, host: str, port: int) -> int:
        """See Desk."""
        return await self._record_refusals(RefusalKind.LISTEN, self._listen_tcp(host, port))

    async def listen_path(self, path: str) -> None:
        """See Desk."""
        await self._record_refusals(RefusalKind.LISTEN, self._listen_path(path))

    def cancel_tcp(self, host: str, port: int) -> bool:
        """See Desk."""
        return self._release_matching(lambda binding: (binding.host, binding.port) == (host, port))

    def cancel_path(self, path: str) -> bool:
        """See Desk."""
        return self._release_matching(lambda binding: binding.target == UnixAddress(path))

    # -- inside ------------------------------------------------------------------------------

    async def _open_tcp(self, host: str, port: int) -> ChannelEndpoint:
        configuration, options = self._context.configuration, self.admitted.options
        registry = self._context.registry
        name = listen_name(host) if configuration.names else None
        binding = registry.named(name, port) if name is not None else None
        if binding is not None:
            ensure_allowed(policy.check_open(host, port, (), configuration.permit_open, options))
            origin = (self.address.host, self.address.port)
            return await self.channels.to_binding(binding, origin)
        resolver = self._resolver
        target = await open_target.open_tcp(host, port, configuration, options, registry, resolver)
        return self.channels.to_socket(target)

    async def _open_path(self, path: str) -> ChannelEndpoint:
        target = await open_target.open_path(
            path, self._context.configuration, self.admitted.options
        )
        return self.channels.to_socket(target)

    async def _listen_tcp(self, host: str, port: int) -> int:
        configuration = self._context.configuration
        ensure_allowed(
            policy.check_listen(host, port, configuration.permit_listen, self.admitted.options)
        )
        self._check_listener_limit()
        name = listen_name(host) if configuration.names else None
        if name is not None:
            if port == 0:
                ensure_allowed(policy.Refusal(f"the name {name} needs a port of its own"))
            self._claim(Binding(Name(name, port), self, host, port, iso_now()))
            return port
        bound = await self._resolve_bind_host(policy.bind_host(configuration.gateway_ports, host))
        chosen = port or bind.choose_port(bound)
        target = TcpAddress(bound, chosen)
        await self._listen(Binding(target, self, host, chosen, iso_now()), target)
        return chosen

    async def _listen_path(self, path: str) -> None:
        configuration, options = self._context.configuration, self.admitted.options
        folder = configuration.unix_socket_dir
        ensure_allowed(policy.check_listen_path(path, folder, configuration.permit_listen, options))
        ensure_allowed(policy.check_symlinks(path, folder))
        self._check_listener_limit()
        target = UnixAddress(path)
        await self._listen(Binding(target, self, path, 0, iso_now()), target)

    async def _listen(self, binding: Binding, target: TcpAddress | UnixAddress) -> None:
        self._claim(binding)
        try:
            listener = await bind.bind(target, partial(self.channels.accept, binding))
        except BaseException:
            self._context.registry.release(binding)
            raise
        if binding.is_released:  # the connection has ended, or a newer one has taken the place
            listener.close()
            raise client_left_error()
        binding.listener = listener

    def _claim(self, binding: Binding) -> None:
        if self.transport.is_closed():
            raise client_left_error()
        try:
            released = self._context.registry.claim(binding)
        except AlreadyBoundError as conflict:
            message = f"another connection listens on {conflict}"
            raise ConnectError(Reason.FAILED, message) from conflict
        log.info("%s listens on %s", self, binding.target)
        for older in released:
            log.info("%s took %s over from %s", self, older.target, older.owner)
            older.owner.probe_liveness()

    async def _resolve_bind_host(self, host: str) -> str:
        if host in {LOOPBACK, EVERY_INTERFACE}:
            return host
        return (await self._resolver.addresses_of(host))[0]

    def _check_listener_limit(self) -> None:
        limit = self._context.configuration.limits.listeners_per_connection
        if limit and len(self.bindings) >= limit:
            ensure_allowed(
                policy.Refusal(f"this connection has {limit} listeners, which is the limit")
            )

    def _release_matching(self, matches: Callable[[Binding], bool]) -> bool:
        matching = [binding for binding in self.bindings if matches(binding)]
        for binding in matching:
            log.info("%s listens no more on %s", self, binding.target)
            self._context.registry.release(binding)
        return bool(matching)

    async def _record_refusals(self, kind: RefusalKind, work: Coroutine[object, object, T]) -> T:
        """Do something; if it is refused, that is noted."""
        try:
            return await work
        except ConnectError as refusal:
            user = self.admitted.user
            self._context.refusals.record(kind, self.address.host, user, str(refusal))
            raise

    async def _probe_liveness(self) -> None:
        """End the connection unless it answers within one keepalive."""
        asked_at = time.monotonic()
        timeout = self._context.configuration.limits.keepalive.interval or Keepalive().interval
        try:
            async with asyncio.timeout(timeout):
                await self.transport.send_keepalive()
        except TimeoutError:
            if self.transport.last_received_at < asked_at:
                message = "a newer connection took its place, and it does not answer"
                self.transport.connection_lost(PeerDeadError(message))
