"""The request handler of one authenticated client: its bindings, channels and liveness.

`policy` decides each request, which is then executed or refused; every refusal is recorded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from asyncssh.constants import DISC_BY_APPLICATION

from tunnelkeeper.clock import iso, iso_now
from tunnelkeeper.core.configuration import Keepalive
from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS
from tunnelkeeper.core.forward_spec import EVERY_INTERFACE, LOOPBACK, TcpAddress, UnixAddress
from tunnelkeeper.core.log_limiter import RefusalLimit
from tunnelkeeper.core.relay_snapshot import DepartureSnapshot
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.descriptor_pool import DescriptorShare
from tunnelkeeper.relay import bind, name_rules, open_target, policy
from tunnelkeeper.relay.budgets import holders_of
from tunnelkeeper.relay.channels import Channels, Origin, client_left_error
from tunnelkeeper.relay.open_target import ensure_allowed
from tunnelkeeper.relay.refusal_log import EventKind, RefusalKind, client_name
from tunnelkeeper.relay.registry import AlreadyBoundError, Binding, Name, kind_of, listen_name
from tunnelkeeper.relay.resolver import Resolver
from tunnelkeeper.ssh.errors import PeerDeadError
from tunnelkeeper.ssh.keepalive_monitor import KeepaliveMonitor

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tunnelkeeper.core.budget import Account
    from tunnelkeeper.forwarding.counted_socket import CountedSocket
    from tunnelkeeper.forwarding.pump import ChannelEndpoint
    from tunnelkeeper.relay.context import RelayContext
    from tunnelkeeper.relay.key_auth import Admitted
    from tunnelkeeper.relay.transport import ServerTransport

log = logging.getLogger(__name__)

T = TypeVar("T")

COUNTED_REASONS = frozenset({Reason.NOT_PERMITTED, Reason.RESOURCE_SHORTAGE})
"""Refusals that are the client's own doing. A target that does not answer is none."""


class ClientSession:
    """An authenticated connection. address: of the client. since: the login time, ISO 8601."""

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
        self._holders = holders_of(admitted.key.blob, address.host)
        self._descriptors = DescriptorShare(context.descriptors, self._holders)
        self._place = self._descriptors.occupy()  # that of the connection itself
        self.channels = Channels(
            transport, self._descriptors, partial(self.log_event, EventKind.FORWARD)
        )
        transport.account.assign_key(admitted.key.blob)
        transport.label = f"{self} ({admitted.key.fingerprint})"
        self.keepalive_monitor = KeepaliveMonitor(transport, context.configuration.limits.keepalive)
        self.keepalive_monitor.measure_round_trip()
        self._context = context
        self._refusal_limit = RefusalLimit(time.monotonic())
        self._resolver = Resolver(context.lookups, self._holders)

    def __str__(self) -> str:
        return f"{self.admitted.user}@{self.address}"

    @property
    def log_name(self) -> str:
        """How the log names this connection."""
        return client_name(self.address, self.admitted.user)

    def log_event(self, kind: EventKind, message: str) -> None:
        """Log what this client did."""
        who = client_name(self.address.host, self.admitted.user)
        separator = ": " if kind is EventKind.FORWARD else " "
        self._context.refusals.write(kind, who, f"{self.log_name}{separator}{message}")

    @property
    def bindings(self) -> list[Binding]:
        """What the client listens on, oldest first."""
        return self._context.registry.of(self)

    def refused_name(self) -> policy.Refusal | None:
        """Return why the client would not get a name that it holds, after a reload, or None."""
        names = [binding.target for binding in self.bindings if isinstance(binding.target, Name)]
        return next(filter(None, map(self._check_name, names)), None)

    def connection_lost(self) -> None:
        """Stop the keepalives and release all bindings."""
        self.keepalive_monitor.stop()
        self._place.release()
        for binding in self.bindings:
            self._leave(binding)

    # -- registry.BindingOwner ---------------------------------------------------------------

    @property
    def identity(self) -> tuple[str, bytes]:
        """The user and the public key."""
        return self.admitted.identity

    async def open_channel(
        self,
        binding: Binding,
        origin: Origin,
        on_made: Callable[[ChannelEndpoint], None],
        payer: Account[Any] | None = None,
    ) -> ChannelEndpoint:
        """Open a channel to the client for a connection to one of its bindings."""
        return await self.channels.open_channel(binding, origin, on_made, payer)

    def probe_liveness(self) -> None:
        """Close the connection unless it answers within one keepalive interval."""
        self.transport.start_task(self._probe_liveness())

    # -- interfaces.RequestHandler -----------------------------------------------------------

    @property
    def channel_limit(self) -> int:
        """The maximum number of open channels; 0: no limit."""
        return self._context.configuration.limits.channels_per_connection

    def take_channel(self) -> str | None:
        """Count a channel; return why the client may not have another one, or None."""
        return self._context.channels.take(self._holders)

    def give_back_channel(self) -> None:
        """Stop counting a channel."""
        self._context.channels.give_back(self._holders)

    async def open_tcp(self, host: str, port: int) -> ChannelEndpoint:
        """Connect to a host, or to a name of another client."""
        return await self._record_refusals(RefusalKind.OPEN, self._open_tcp(host, port))

    async def open_path(self, path: str) -> ChannelEndpoint:
        """Connect to a Unix socket."""
        return await self._record_refusals(RefusalKind.OPEN, self._open_path(path))

    async def listen_tcp(self, host: str, port: int) -> int:
        """Listen on a port or a name; return the port."""
        return await self._record_refusals(RefusalKind.LISTEN, self._listen_tcp(host, port))

    async def listen_path(self, path: str) -> None:
        """Listen on a Unix socket."""
        await self._record_refusals(RefusalKind.LISTEN, self._listen_path(path))

    def cancel_tcp(self, host: str, port: int) -> bool:
        """Stop listening on a port or name; return whether it was bound."""
        return self._release_matching(lambda binding: (binding.host, binding.port) == (host, port))

    def cancel_path(self, path: str) -> bool:
        """Stop listening on a Unix socket; return whether it was bound."""
        return self._release_matching(lambda binding: binding.target == UnixAddress(path))

    # -- inside ------------------------------------------------------------------------------

    async def _open_tcp(self, host: str, port: int) -> ChannelEndpoint:
        configuration, options = self._context.configuration, self.admitted.options
        registry = self._context.registry
        name = self._name_of(host)
        if name is not None and not name_rules.is_host(name, configuration.permit_open):
            permits = configuration.permit_open
            ensure_allowed(policy.check_open_name(host, port, permits, options))
            return await self._open_name(Name(name, port))
        return await self._to_socket(
            open_target.open_tcp(host, port, configuration, options, registry, self._resolver)
        )

    async def _open_name(self, target: Name) -> ChannelEndpoint:
        """Connect to the client that listens on a name. No host is ever looked up for it."""
        binding = self._context.registry.named(target.name, target.port)
        if binding is None:
            seen = self._context.departures.describe(target, self._context.clock.wall())
            message = f"{target} is not connected ({seen or name_rules.NEVER_SEEN})"
            raise ConnectError(Reason.HOST_UNREACHABLE, message)
        return await self.channels.to_binding(binding, (self.address.host, self.address.port))

    def _name_of(self, host: str) -> str | None:
        """Return the name that a host is; None for a host, or if there are no names here."""
        return listen_name(host) if self._context.configuration.names else None

    async def _open_path(self, path: str) -> ChannelEndpoint:
        configuration, options = self._context.configuration, self.admitted.options
        return await self._to_socket(open_target.open_path(path, configuration, options))

    async def _to_socket(
        self, opening: Coroutine[object, object, CountedSocket]
    ) -> ChannelEndpoint:
        """Open a socket within the client's share of the descriptors, for a channel of it."""
        try:
            place = self._descriptors.take()
        except OSError:
            opening.close()
            raise
        try:
            target = await opening
        except BaseException:
            place.release()
            raise
        self.channels.occupy(target, place, self)
        return self.channels.to_socket(target)

    async def _listen_tcp(self, host: str, port: int) -> int:
        configuration = self._context.configuration
        ensure_allowed(
            policy.check_listen(host, port, configuration.permit_listen, self.admitted.options)
        )
        name = self._name_of(host)
        if name is not None:
            return await self._listen_name(Name(name, port), host)
        self._check_listener_limit()
        ensure_allowed(
            policy.check_reserved_port(
                host, port, configuration.permit_listen, self.admitted.options
            )
        )
        bound = await self._resolve_bind_host(policy.bind_host(configuration.gateway_ports, host))
        chosen = port or bind.choose_port(bound)
        target = TcpAddress(bound, chosen)
        await self._listen(Binding(target, self, host, chosen, iso_now()), target)
        return chosen

    async def _listen_name(self, target: Name, host: str) -> int:
        """Listen on a name. host: as the client wrote it."""
        ensure_allowed(self._check_name(target))
        held = self._context.registry.named(target.name, target.port)
        if held is None or held.owner.identity != self.identity:  # a takeover waits for no lookup
            ensure_allowed(await self._context.host_names.check(target.name))
            ensure_allowed(self._check_name(target))  # a reload may have changed the rules
        self._check_listener_limit()
        self._claim(Binding(target, self, host, target.port, iso_now()))
        return target.port

    def _check_name(self, target: Name) -> policy.Refusal | None:
        configuration, admitted = self._context.configuration, self.admitted
        return name_rules.check_listen_name(
            target,
            admitted.user,
            configuration.names,
            configuration.permit_open,
            admitted.options,
        )

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
            listener = await bind.bind(
                target,
                partial(self.channels.accept, binding),
                partial(self.channels.check_visitor, binding),
            )
        except BaseException:
            self._context.registry.release(binding)
            raise
        if binding.is_released:  # by the end of the connection, or taken over by a newer one
            listener.close()
            raise client_left_error()
        binding.listener = listener

    def _claim(self, binding: Binding) -> None:
        if self.transport.is_closed():
            raise client_left_error()
        # A port has two sockets at most, a name none; each counts as one place.
        binding.place = self._descriptors.take()
        try:
            released = self._context.registry.claim(binding)
        except AlreadyBoundError as conflict:
            binding.close()
            message = f"another connection listens on {conflict}"
            raise ConnectError(Reason.FAILED, message) from conflict
        self._context.departures.forget(binding.target)
        self.log_event(EventKind.LISTEN, f"listens on {binding.target}")
        for older in released:
            owner = getattr(older.owner, "log_name", older.owner)
            self.log_event(EventKind.TAKEOVER, f"took {older.target} over from {owner}")
            older.owner.probe_liveness()

    def _leave(self, binding: Binding) -> None:
        """Release a binding, and remember when."""
        self._context.registry.release(binding)
        snapshot = DepartureSnapshot(
            kind=kind_of(binding.target),
            listen=printable(str(binding.target)),
            user=self.admitted.user,
            key=self.admitted.key.fingerprint,
            address=str(self.address),
            left_at=iso(self._context.clock.wall()),
        )
        self._context.departures.record(binding.target, self.identity, snapshot)

    async def _resolve_bind_host(self, host: str) -> str:
        if host in {LOOPBACK, EVERY_INTERFACE}:
            return host
        return (await self._resolver.addresses_of(host))[0]

    def _check_listener_limit(self) -> None:
        limit = self._context.configuration.limits.listeners_per_connection
        if limit and len(self.bindings) >= limit:
            ensure_allowed(
                policy.Refusal(f"the limit of {limit} listeners per connection is reached")
            )

    def _release_matching(self, matches: Callable[[Binding], bool]) -> bool:
        matching = [binding for binding in self.bindings if matches(binding)]
        for binding in matching:
            self.log_event(EventKind.LISTEN, f"stopped listening on {binding.target}")
            self._leave(binding)
        return bool(matching)

    async def _record_refusals(self, kind: RefusalKind, work: Coroutine[object, object, T]) -> T:
        """Await a request, and record a refusal."""
        try:
            return await work
        except ConnectError as refusal:
            self._record(kind, refusal)
            raise
        except OSError as error:
            if error.errno not in EXHAUSTION_ERRNOS:
                raise
            shortage = ConnectError(Reason.RESOURCE_SHORTAGE, error.strerror or str(error))
            self._record(kind, shortage)
            raise shortage from error

    def _record(self, kind: RefusalKind, refusal: ConnectError) -> None:
        user = self.admitted.user
        self._context.refusals.record(kind, self.address.host, user, str(refusal))
        if refusal.reason in COUNTED_REASONS and self._refusal_limit.exceeds(time.monotonic()):
            self._disconnect_for_refusals()

    def _disconnect_for_refusals(self) -> None:
        if self.transport.is_closed():
            return
        log.warning("%s is disconnected: too many refused requests", self.log_name)
        self.transport.disconnect(DISC_BY_APPLICATION, "too many refused requests")

    async def _probe_liveness(self) -> None:
        """Send a keepalive; treat the client as dead if nothing arrives within one interval."""
        asked_at = time.monotonic()
        timeout = self._context.configuration.limits.keepalive.interval or Keepalive().interval
        try:
            async with asyncio.timeout(timeout):
                await self.transport.send_keepalive()
        except TimeoutError:
            if self.transport.last_received_at < asked_at:
                message = "a newer connection replaced it, and it does not answer"
                self.transport.connection_lost(PeerDeadError(message))
