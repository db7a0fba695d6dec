"""A forward that listens on this machine, bound while its tunnel is wanted, connected or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.client_failures import denial
from tunnelkeeper.core.forward_spec import LOOPBACK, LocallyBoundForward, TcpAddress, target_of
from tunnelkeeper.core.shares import Holder
from tunnelkeeper.core.ssh_values import SocketFileRules
from tunnelkeeper.forwarding.health_probe import check_local_forward
from tunnelkeeper.forwarding.local_clients import LocalClients
from tunnelkeeper.net.descriptor_pool import DescriptorShare
from tunnelkeeper.net.listener import Listener, ListenError, listen
from tunnelkeeper.tunnel.forward import FailureRecord, ForwardContext, RunningForward

if TYPE_CHECKING:
    from tunnelkeeper.core.configuration import Tunnel
    from tunnelkeeper.core.connect_error import ConnectError
    from tunnelkeeper.core.forward_spec import Address
    from tunnelkeeper.core.health_checks import Check, CheckFailed, CheckImpossible
    from tunnelkeeper.forwarding.gate import ChannelOpener
    from tunnelkeeper.tunnel.forward_expansion import ExpandedForward

LOCAL_RETRY_INTERVAL = 1.0
"""Seconds between attempts to bind a local port that is in use. A bind costs next to nothing."""


class RunningLocalForward(RunningForward):
    """A forward that listens on this machine from the start of its tunnel to its stop."""

    def __init__(
        self,
        forward: LocallyBoundForward,
        expanded: ExpandedForward,
        tunnel: Tunnel,
        context: ForwardContext,
    ) -> None:
        self.clients = LocalClients(
            forward,
            context.gate,
            tunnel.hold_timeout,
            self._on_client_failed,
            self._on_client_served,
            self._on_denied,
            DescriptorShare(context.descriptors, (_holder(forward, context.tunnel),)),
        )
        super().__init__(expanded, self.clients.counters, context, self._probe)
        self._listener: Listener | None = None
        self._denial: FailureRecord | None = None
        self._denied_in = self._served_in = 0  # generations of the gate
        self._rules = SocketFileRules()

    def set_socket_file_rules(self, rules: SocketFileRules) -> None:
        """Set how a socket file is created. The mask applies to one that exists, too."""
        if rules.mask != self._rules.mask and self._listener is not None:
            self._listener.set_mask(rules.mask)
        self._rules = rules

    @property
    def current_denial(self) -> FailureRecord | None:
        """The refusal of the server that is connected now, until it opens a channel."""
        gate = self._context.gate
        is_current = gate.connection is not None and self._denied_in == gate.generation
        return self._denial if is_current else None

    @property
    def listen_address(self) -> Address:
        """The address that clients connect to. Loopback is shown as 127.0.0.1."""
        match self.forward.listen:
            case TcpAddress(host=host, port=port) if host == LOOPBACK:
                return TcpAddress("127.0.0.1", port)
        return self.forward.listen

    async def open(self) -> None:
        """Start listening. Retry in the background if that fails."""
        if self.expanded.waits_for_lookup:
            return
        if self._listener is None and self._retry_task is None and not await self._try_listen():
            self._retry_task = self._context.tasks.create_task(self._retry_until_listening())

    def close(self) -> None:
        """Stop listening. Open connections stay open."""
        self._cancel_retry()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._set_state("pending")

    async def _probe(
        self, opener: ChannelOpener, check: Check
    ) -> CheckFailed | CheckImpossible | None:
        problem = await check_local_forward(opener, target_of(self.forward), check)
        if problem is None:
            self._clear_denial()
        return problem

    def _on_denied(self, target: Address, error: ConnectError) -> None:
        """Record that the server forbids this forward.

        A SOCKS proxy that has served a client has a server that forbids single targets.
        """
        generation = self._context.gate.generation
        is_single_target = target_of(self.forward) is None and self._served_in == generation
        if is_single_target or self.current_denial is not None:
            return
        self._denial = FailureRecord(denial(target, error), self._context.clock.wall())
        self._denied_in = generation
        self._context.on_change()

    def _on_client_served(self) -> None:
        super()._on_client_served()
        self._served_in = self._context.gate.generation
        self._clear_denial()

    def _clear_denial(self) -> None:
        if self._denial is not None:
            self._denial = None
            self._context.on_change()

    async def _retry_until_listening(self) -> None:
        while True:
            await self._context.clock.sleep(LOCAL_RETRY_INTERVAL)
            if await self._try_listen():
                self._retry_task = None
                return

    async def _try_listen(self) -> bool:
        try:
            self._listener = await listen(
                self.forward.listen,
                self.clients.accept,
                self._rules,
                self.clients.descriptors.make_room,
            )
        except ListenError as failed:
            self._set_state("failed", failed.failure)
            return False
        self._set_state("listening")
        return True


def _holder(forward: LocallyBoundForward, tunnel: str) -> Holder:
    """Return what has a share of the descriptors: the clients of one forward."""
    return Holder(f"the forward {forward} of {tunnel}", (tunnel, forward))
