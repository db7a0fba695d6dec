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

from tunnelkeeper.core.configuration import Keepalive
from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.forward_spec import EVERY_INTERFACE, LOOPBACK, TcpAddress, UnixAddress
from tunnelkeeper.relay import bind, open_target, policy
from tunnelkeeper.relay.channels import Channels, Origin, has_left
from tunnelkeeper.relay.open_target import ensure_allowed
from tunnelkeeper.relay.refusal_log import RefusalKind, now
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
        shared: RelayContext,
    ) -> None:
        self.transport = transport
        self.admitted = admitted
        self.address = address
        self.since = now()
        self.channels = Channels(transport)
        self.heartbeat = KeepaliveMonitor(transport, shared.configuration.limits.keepalive)
        self._shared = shared
        self._resolver = Resolver()

    def __str__(self) -> str:
        return f"{self.admitted.user}@{self.address}"

    @property
    def holdings(self) -> list[Binding]:
        """What it listens on, oldest first."""
        return self._shared.registry.of(self)

    def end(self) -> None:
        """The connection is gone: give up what it holds."""
        self.heartbeat.stop()
        for holding in self.holdings:
            self._shared.registry.release(holding)

    # -- registry.Holder ---------------------------------------------------------------------

    @property
    def owner(self) -> tuple[str, bytes]:
        """See Holder."""
        return self.admitted.owner

    async def reach(
        self, holding: Binding, origin: Origin, on_made: Callable[[ChannelEndpoint], None]
    ) -> ChannelEndpoint:
        """See Holder."""
        return await self.channels.reach(holding, origin, on_made)

    def challenge(self) -> None:
        """See Holder."""
        self.transport.open_in_own_task(self._be_challenged())

    # -- desk.Desk ---------------------------------------------------------------------------

    @property
    def channel_limit(self) -> int:
        """See Desk."""
        return self._shared.configuration.limits.channels_per_connection

    async def open_tcp(self, host: str, port: int) -> ChannelEndpoint:
        """See Desk."""
        return await self._noted(RefusalKind.OPEN, self._open_tcp(host, port))

    async def open_path(self, path: str) -> ChannelEndpoint:
        """See Desk."""
        return await self._noted(RefusalKind.OPEN, self._open_path(path))

    async def listen_tcp(self, host: str, port: int) -> int:
        """See Desk."""
        return await self._noted(RefusalKind.LISTEN, self._listen_tcp(host, port))

    async def listen_path(self, path: str) -> None:
        """See Desk."""
        await self._noted(RefusalKind.LISTEN, self._listen_path(path))

    def cancel_tcp(self, host: str, port: int) -> bool:
        """See Desk."""
        return self._cancel(lambda holding: (holding.host, holding.port) == (host, port))

    def cancel_path(self, path: str) -> bool:
        """See Desk."""
        return self._cancel(lambda holding: holding.place == UnixAddress(path))

    # -- inside ------------------------------------------------------------------------------

    async def _open_tcp(self, host: str, port: int) -> ChannelEndpoint:
        configuration, options = self._shared.configuration, self.admitted.options
        registry = self._shared.registry
        name = listen_name(host) if configuration.names else None
        holding = registry.named(name, port) if name is not None else None
        if holding is not None:
            ensure_allowed(policy.may_open(host, port, (), configuration.permit_open, options))
            origin = (self.address.host, self.address.port)
            return await self.channels.to_holder(holding, origin)
        resolver = self._resolver
        target = await open_target.open_tcp(host, port, configuration, options, registry, resolver)
        return self.channels.to_socket(target)

    async def _open_path(self, path: str) -> ChannelEndpoint:
        target = await open_target.open_path(
            path, self._shared.configuration, self.admitted.options
        )
        return self.channels.to_socket(target)

    async def _listen_tcp(self, host: str, port: int) -> int:
        configuration = self._shared.configuration
        ensure_allowed(
            policy.may_listen(host, port, configuration.permit_listen, self.admitted.options)
        )
        self._demand_room()
        name = listen_name(host) if configuration.names else None
        if name is not None:
            if port == 0:
                ensure_allowed(policy.Refusal(f"the name {name} needs a port of its own"))
            self._hold(Binding(Name(name, port), self, host, port, now()))
            return port
        bound = await self._bound_host(policy.gateway(configuration.gateway_ports, host))
        chosen = port or bind.choose_port(bound)
        place = TcpAddress(bound, chosen)
        await self._listen(Binding(place, self, host, chosen, now()), place)
        return chosen

    async def _listen_path(self, path: str) -> None:
        configuration, options = self._shared.configuration, self.admitted.options
        folder = configuration.unix_socket_dir
        ensure_allowed(policy.may_listen_path(path, folder, configuration.permit_listen, options))
        ensure_allowed(policy.check_symlinks(path, folder))
        self._demand_room()
        place = UnixAddress(path)
        await self._listen(Binding(place, self, path, 0, now()), place)

    async def _listen(self, holding: Binding, place: TcpAddress | UnixAddress) -> None:
        self._hold(holding)
        try:
            listener = await bind.bind(place, partial(self.channels.welcome, holding))
        except BaseException:
            self._shared.registry.release(holding)
            raise
        if holding.is_over:  # the connection has ended, or a newer one has taken the place
            listener.close()
            raise has_left()
        holding.listener = listener

    def _hold(self, holding: Binding) -> None:
        if self.transport.is_closed():
            raise has_left()
        try:
            given_up = self._shared.registry.claim(holding)
        except AlreadyBoundError as taken:
            words = f"another connection listens on {taken}"
            raise ConnectError(Reason.FAILED, words) from taken
        log.info("%s listens on %s", self, holding.place)
        for older in given_up:
            log.info("%s took %s over from %s", self, older.place, older.holder)
            older.holder.challenge()

    async def _bound_host(self, host: str) -> str:
        if host in {LOOPBACK, EVERY_INTERFACE}:
            return host
        return (await self._resolver.addresses_of(host))[0]

    def _demand_room(self) -> None:
        limit = self._shared.configuration.limits.listeners_per_connection
        if limit and len(self.holdings) >= limit:
            ensure_allowed(
                policy.Refusal(f"this connection has {limit} listeners, which is the limit")
            )

    def _cancel(self, is_meant: Callable[[Binding], bool]) -> bool:
        meant = [holding for holding in self.holdings if is_meant(holding)]
        for holding in meant:
            log.info("%s listens no more on %s", self, holding.place)
            self._shared.registry.release(holding)
        return bool(meant)

    async def _noted(self, kind: RefusalKind, work: Coroutine[object, object, T]) -> T:
        """Do something; if it is refused, that is noted."""
        try:
            return await work
        except ConnectError as refusal:
            user = self.admitted.user
            self._shared.refusals.note(kind, self.address.host, user, str(refusal))
            raise

    async def _be_challenged(self) -> None:
        """End the connection unless it answers within one keepalive."""
        asked = time.monotonic()
        patience = self._shared.configuration.limits.keepalive.interval or Keepalive().interval
        try:
            async with asyncio.timeout(patience):
                await self.transport.keepalive()
        except TimeoutError:
            if self.transport.last_heard < asked:
                words = "a newer connection took its place, and it does not answer"
                self.transport.connection_lost(PeerDeadError(words))
