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

from tunnelkeeper.core.forwards import EVERY_INTERFACE, LOOPBACK, TcpAddress, UnixAddress
from tunnelkeeper.core.tunnels import Keepalive
from tunnelkeeper.forwarding.socks import Outcome
from tunnelkeeper.forwarding.targets import TargetRefused
from tunnelkeeper.relay import listening, opening, policy, socket_folder
from tunnelkeeper.relay.channels import Channels, Origin, has_left
from tunnelkeeper.relay.names import listen_name
from tunnelkeeper.relay.opening import demand
from tunnelkeeper.relay.refusals import Kind, now
from tunnelkeeper.relay.registry import Holding, Name, PlaceTaken
from tunnelkeeper.relay.resolving import Resolver
from tunnelkeeper.ssh.heartbeat import Heartbeat
from tunnelkeeper.ssh.steps import PeerDead

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tunnelkeeper.forwarding.pump import ChannelEnd
    from tunnelkeeper.relay.login import Admitted
    from tunnelkeeper.relay.shared import Shared
    from tunnelkeeper.relay.transport import ServerTransport

log = logging.getLogger(__name__)

T = TypeVar("T")


class Client:
    """A connection that is logged in. address: where it comes from. since: ISO 8601."""

    def __init__(
        self,
        transport: ServerTransport,
        admitted: Admitted,
        address: TcpAddress,
        shared: Shared,
    ) -> None:
        self.transport = transport
        self.admitted = admitted
        self.address = address
        self.since = now()
        self.channels = Channels(transport)
        self.heartbeat = Heartbeat(transport, shared.configuration.limits.keepalive)
        self._shared = shared
        self._resolver = Resolver()

    def __str__(self) -> str:
        return f"{self.admitted.user}@{self.address}"

    @property
    def holdings(self) -> list[Holding]:
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
        self, holding: Holding, origin: Origin, on_made: Callable[[ChannelEnd], None]
    ) -> ChannelEnd:
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

    async def open_tcp(self, host: str, port: int) -> ChannelEnd:
        """See Desk."""
        return await self._noted(Kind.OPEN, self._open_tcp(host, port))

    async def open_path(self, path: str) -> ChannelEnd:
        """See Desk."""
        return await self._noted(Kind.OPEN, self._open_path(path))

    async def listen_tcp(self, host: str, port: int) -> int:
        """See Desk."""
        return await self._noted(Kind.LISTEN, self._listen_tcp(host, port))

    async def listen_path(self, path: str) -> None:
        """See Desk."""
        await self._noted(Kind.LISTEN, self._listen_path(path))

    def cancel_tcp(self, host: str, port: int) -> bool:
        """See Desk."""
        return self._cancel(lambda holding: (holding.host, holding.port) == (host, port))

    def cancel_path(self, path: str) -> bool:
        """See Desk."""
        return self._cancel(lambda holding: holding.place == UnixAddress(path))

    # -- inside ------------------------------------------------------------------------------

    async def _open_tcp(self, host: str, port: int) -> ChannelEnd:
        configuration, options = self._shared.configuration, self.admitted.options
        registry = self._shared.registry
        name = listen_name(host) if configuration.names else None
        holding = registry.named(name, port) if name is not None else None
        if holding is not None:
            demand(policy.may_open(host, port, (), configuration.permit_open, options))
            origin = (self.address.host, self.address.port)
            return await self.channels.to_holder(holding, origin)
        resolver = self._resolver
        target = await opening.open_tcp(host, port, configuration, options, registry, resolver)
        return self.channels.to_socket(target)

    async def _open_path(self, path: str) -> ChannelEnd:
        target = await opening.open_path(path, self._shared.configuration, self.admitted.options)
        return self.channels.to_socket(target)

    async def _listen_tcp(self, host: str, port: int) -> int:
        configuration = self._shared.configuration
        demand(policy.may_listen(host, port, configuration.permit_listen, self.admitted.options))
        self._demand_room()
        name = listen_name(host) if configuration.names else None
        if name is not None:
            if port == 0:
                demand(policy.Refusal(f"the name {name} needs a port of its own"))
            self._hold(Holding(Name(name, port), self, host, port, now()))
            return port
        bound = await self._bound_host(policy.gateway(configuration.gateway_ports, host))
        chosen = port or listening.choose_port(bound)
        place = TcpAddress(bound, chosen)
        await self._listen(Holding(place, self, host, chosen, now()), place)
        return chosen

    async def _listen_path(self, path: str) -> None:
        configuration, options = self._shared.configuration, self.admitted.options
        folder = configuration.unix_socket_dir
        demand(policy.may_listen_path(path, folder, configuration.permit_listen, options))
        demand(socket_folder.refusal(path, folder))
        self._demand_room()
        place = UnixAddress(path)
        await self._listen(Holding(place, self, path, 0, now()), place)

    async def _listen(self, holding: Holding, place: TcpAddress | UnixAddress) -> None:
        self._hold(holding)
        try:
            listener = await listening.bind(place, partial(self.channels.welcome, holding))
        except BaseException:
            self._shared.registry.release(holding)
            raise
        if holding.is_over:  # the connection has ended, or a newer one has taken the place
            listener.close()
            raise has_left()
        holding.listener = listener

    def _hold(self, holding: Holding) -> None:
        if self.transport.is_closed():
            raise has_left()
        try:
            given_up = self._shared.registry.hold(holding)
        except PlaceTaken as taken:
            words = f"another connection listens on {taken}"
            raise TargetRefused(Outcome.GENERAL_FAILURE, words) from taken
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
            demand(policy.Refusal(f"this connection has {limit} listeners, which is the limit"))

    def _cancel(self, is_meant: Callable[[Holding], bool]) -> bool:
        meant = [holding for holding in self.holdings if is_meant(holding)]
        for holding in meant:
            log.info("%s listens no more on %s", self, holding.place)
            self._shared.registry.release(holding)
        return bool(meant)

    async def _noted(self, kind: Kind, work: Coroutine[object, object, T]) -> T:
        """Do something; if it is refused, that is noted."""
        try:
            return await work
        except TargetRefused as refusal:
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
                self.transport.connection_lost(PeerDead(words))
