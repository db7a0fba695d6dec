"""The relay server: listens for SSH clients, lists them, and applies a new configuration.

Signals and the control socket belong to `main`; each connection belongs to its `AuthSession`.
"""

from __future__ import annotations

import asyncio
import logging
import operator
import os
import time
from contextlib import ExitStack
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from asyncssh.constants import DISC_BY_APPLICATION

from tunnelkeeper import __version__
from tunnelkeeper.clock import SystemClock, iso, iso_now
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.core.login_budget import LoginBudget
from tunnelkeeper.core.relay_snapshot import (
    BanSnapshot,
    BindingSnapshot,
    ClientSnapshot,
    RelaySnapshot,
)
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.listener import Listener, adopt, listen
from tunnelkeeper.relay import socket_activation
from tunnelkeeper.relay.admission import AdmissionControl, AdmissionProtocol
from tunnelkeeper.relay.auth_session import AuthSession
from tunnelkeeper.relay.authorized_keys_store import AuthorizedKeysStore
from tunnelkeeper.relay.bans import BanList
from tunnelkeeper.relay.budgets import check_login
from tunnelkeeper.relay.context import RelayContext
from tunnelkeeper.relay.live_access import LiveAccess, shortened
from tunnelkeeper.relay.per_source import FAIR_BLOCK
from tunnelkeeper.relay.registry import kind_of
from tunnelkeeper.relay.server_options import server_options
from tunnelkeeper.relay.transport import ServerTransport
from tunnelkeeper.ssh.fastpath.receive_scheduler import scheduler_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    import asyncssh

    from tunnelkeeper.clock import Clock
    from tunnelkeeper.relay.bans import Ban
    from tunnelkeeper.relay.client_session import ClientSession
    from tunnelkeeper.relay.config import RelayConfiguration, RelayLimits
    from tunnelkeeper.relay.registry import Binding

    Part = TypeVar("Part", RelayLimits, RelayConfiguration)

RESTART_KEYS = frozenset({"listen", "host_keys"})

log = logging.getLogger(__name__)


class RelayServer:
    """A relay. configuration: with absolute file names."""

    def __init__(
        self,
        configuration: RelayConfiguration,
        host_keys: Sequence[asyncssh.SSHKey],
        clock: Clock | None = None,
        bans: BanList | None = None,
    ) -> None:
        self._host_keys = host_keys
        self._context = RelayContext(
            configuration,
            _authorized_keys(configuration),
            bans=bans or BanList(),
            clock=clock or SystemClock(),
        )
        self._context.budget.set_limits(configuration.limits.budget_limits())
        self._admission = AdmissionControl(self._context)
        self._options = server_options(configuration, host_keys)
        self._listeners: list[Listener] = []
        self._clients: list[ClientSession] = []  # oldest first
        self._live_access = LiveAccess(self._context, self._clients)
        self._started_at = iso_now()

    @property
    def addresses(self) -> list[TcpAddress]:
        """The addresses on which it listens, with the actual ports."""
        return [
            TcpAddress(*bound.getsockname()[:2])
            for listener in self._listeners
            for bound in listener.sockets
        ]

    @property
    def bans(self) -> BanList:
        """The addresses and keys that are kept out."""
        return self._context.bans

    @property
    def clock(self) -> Clock:
        """The clock of bans and of the validity of keys."""
        return self._context.clock

    @property
    def config_path(self) -> str:
        """The path of relay.toml, or an empty text."""
        return self._context.configuration.path

    @property
    def fingerprints(self) -> list[str]:
        """The fingerprints of the host keys, as ssh shows them on the first connection."""
        return [key.get_fingerprint() for key in self._host_keys]

    async def open(self, passed_sockets: Sequence[socket.socket] = ()) -> None:
        """Listen on all addresses or on none.

        passed_sockets: bound sockets that replace the configured addresses (socket activation).
        Raises ListenError, OSError.
        """
        scheduler = scheduler_of(asyncio.get_running_loop())
        protocol_factory = partial(
            AdmissionProtocol, self._admission, self._create_transport, scheduler
        )
        check = partial(check_login, self._context.descriptors)
        if passed_sockets:
            self._listeners.append(adopt(passed_sockets, protocol_factory, check))
            mismatch_warning = socket_activation.mismatch_warning(
                self._context.configuration.listen, self.addresses
            )
            if mismatch_warning is not None:
                hint = {"hint": mismatch_warning.hint}
                log.warning("%s", mismatch_warning.text, extra=hint)
            return
        with ExitStack() as undo:
            for address in self._context.configuration.listen:
                listener = await listen(address, protocol_factory, check=check)
                undo.callback(listener.close)
                self._listeners.append(listener)
            undo.pop_all()

    async def close(self) -> None:
        """Stop listening and disconnect all clients."""
        for listener in self._listeners:
            listener.close()
        self._live_access.close()
        self._admission.close_all()
        transports = [client.transport for client in self._clients]
        for transport in transports:
            transport.disconnect(DISC_BY_APPLICATION, "the relay is shutting down")
        for transport in transports:
            await transport.wait_closed()
        self._context.refusals.close()

    def reconfigure(self, new: RelayConfiguration) -> list[str]:
        """Apply a new configuration; return a sentence for each change.

        Connections keep their bindings and their keepalive settings. `revalidate` must follow.
        """
        old = self._context.configuration
        changes = ["authorized keys are read again", *describe_changes(old, new)]
        self._context.configuration = replace(new, listen=old.listen, host_keys=old.host_keys)
        self._context.authorized_keys = _authorized_keys(new)
        self._context.budget.set_limits(new.limits.budget_limits())
        self._options = server_options(new, self._host_keys)
        log.info("reloaded: %s", "; ".join(changes))
        return changes

    async def revalidate(self) -> list[str]:
        """Disconnect the clients that may not log in any more; return a sentence for each."""
        disconnected = await self._live_access.revalidate()  # updates what the keys may do
        return [*disconnected, *shortened(self._disconnect_from_names())]

    def _disconnect_from_names(self) -> list[str]:
        """Disconnect the clients that hold a name which no rule grants any more.

        When they come back, the refusal tells them why.
        """
        found = [(client, client.refused_name()) for client in self._clients]
        return [
            f"disconnected {who}: {refusal}"
            for client, refusal in found
            if refusal is not None
            for who in self.disconnect(partial(operator.is_, client), str(refusal))
        ]

    def disconnect(self, matches: Callable[[ClientSession], bool], reason: str) -> list[str]:
        """Disconnect the clients that match; return them as `user@address:port`.

        reason: for the log and for the clients.
        """
        return self._live_access.disconnect(matches, reason)

    def status(self) -> RelaySnapshot:
        """Return the snapshot for front ends."""
        return RelaySnapshot(
            version=__version__,
            pid=os.getpid(),
            config=self._context.configuration.path,
            started_at=self._started_at,
            listen=[str(address) for address in self.addresses],
            host_keys=self.fingerprints,
            waiting=self._admission.waiting,
            clients=[_client_snapshot(client) for client in self._clients],
            refusals=self._context.refusals.snapshot(),
            bans=[_ban_snapshot(ban) for ban in self.bans.current(self.clock.wall())],
            left=self._context.departures.snapshot(),
        )

    def _create_transport(self, address: TcpAddress) -> ServerTransport:
        session = AuthSession(
            address, self._context, self._admission, self._clients, self._live_access.watch
        )
        loop = asyncio.get_running_loop()
        session.transport = ServerTransport(loop, self._options, session)
        source = FAIR_BLOCK.block_of(address.host)
        session.transport.use_budget(self._context.budget, str(address), source)
        session.transport.flow = self._context.login_flows.of(source)
        tries = self._context.configuration.limits.max_auth_tries
        session.transport.login_budget = LoginBudget.for_tries(tries)
        self._admission.add(session, address)
        return session.transport


def _authorized_keys(configuration: RelayConfiguration) -> AuthorizedKeysStore:
    return AuthorizedKeysStore(
        configuration.authorized_keys, strict_modes=configuration.strict_modes
    )


def describe_changes(old: RelayConfiguration, new: RelayConfiguration) -> list[str]:
    """Return a sentence for each changed key, with the keys of [limits] by name."""
    changed = [f"limits.{key}" for key in _changed_fields(old.limits, new.limits)]
    changed += [key for key in _changed_fields(old, new) if key not in {"limits", "path"}]
    later = " and takes effect after a restart"
    return [f"{key} changed{later if key in RESTART_KEYS else ''}" for key in changed]


def _changed_fields(old: Part, new: Part) -> list[str]:
    names = [field.name for field in fields(old)]
    return [name for name in names if getattr(old, name) != getattr(new, name)]


def _client_snapshot(client: ClientSession) -> ClientSnapshot:
    """Return the snapshot of an authenticated client."""
    line, traffic = client.admitted.line, client.channels.traffic
    return ClientSnapshot(
        user=client.admitted.user,
        key=client.admitted.key.fingerprint,
        line=printable(f"{line.path}:{line.number}", 4096),
        address=str(client.address),
        version=client.transport.client_version,
        since=client.since,
        silent=round(time.monotonic() - client.transport.last_received_at, 1),
        rtt_ms=client.keepalive_monitor.rtt_ms,
        channels=client.transport.channel_count,
        bytes_in=traffic.bytes_in,
        bytes_out=traffic.bytes_out,
        holds=[_binding_snapshot(binding) for binding in client.bindings],
    )


def _ban_snapshot(ban: Ban) -> BanSnapshot:
    return BanSnapshot(str(ban), iso(ban.since), None if ban.until is None else iso(ban.until))


def _binding_snapshot(binding: Binding) -> BindingSnapshot:
    return BindingSnapshot(
        kind=kind_of(binding.target),
        listen=printable(str(binding.target)),
        since=binding.since,
        connections=binding.counters.connections,
        connections_total=binding.counters.connections_total,
    )
