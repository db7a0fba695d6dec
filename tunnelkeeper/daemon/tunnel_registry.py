"""The registry of all tunnels: one runner per name, changed together by a reload.

It communicates with runners only through events and snapshots.
"""

from __future__ import annotations

import asyncio
from secrets import token_hex
from typing import TYPE_CHECKING

from tunnelkeeper.control.api import NoSuchGroupError, NoSuchTunnelError
from tunnelkeeper.core.config_diff import (
    Added,
    Change,
    HostSettingsChanged,
    Removed,
    SettingsChanged,
    TakenOver,
    name_of,
)
from tunnelkeeper.core.lifecycle import (
    HostChanged,
    NetworkChanged,
    Restart,
    RestartGracefully,
    RetryNow,
    Start,
    Stop,
)
from tunnelkeeper.core.states import is_wanted
from tunnelkeeper.tunnel.runner import Reconfigure, Runner
from tunnelkeeper.tunnel.snapshots import tunnel_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from tunnelkeeper.core.ad_hoc import AdHoc
    from tunnelkeeper.core.configuration import Tunnel
    from tunnelkeeper.core.snapshot import TunnelSnapshot
    from tunnelkeeper.tunnel.context import TunnelContext


class TunnelRegistry:
    """The runners, in the order of the config file, then the ad-hoc ones. tasks owns them.

    claim: called with the names of configured tunnels before they are started; raises to prevent
    it.
    """

    def __init__(
        self,
        context: TunnelContext,
        tasks: asyncio.TaskGroup,
        on_removed: Callable[[str], None],
        claim: Callable[[list[str]], None],
    ) -> None:
        self._context = context
        self._tasks = tasks
        self._on_removed = on_removed
        self.claim = claim
        self._runners: dict[str, Runner] = {}
        self._runner_tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def add(self, tunnel: Tunnel, ad_hoc: AdHoc | None = None) -> Runner:
        """Add a tunnel in state `stopped` and run its runner. ad_hoc: if no file has it."""
        runner = Runner(tunnel, self._context, token_hex(8), ad_hoc=ad_hoc)
        self._runners[tunnel.name] = runner
        task = self._tasks.create_task(runner.run(), name=f"tunnel {tunnel.name}")
        self._runner_tasks.add(task)
        task.add_done_callback(self._runner_tasks.discard)
        if self._is_closed:  # of a reload that was under way: `close` has ended the others
            runner.shutdown()
        return runner

    def runner(self, name: str) -> Runner:
        """Return the runner of a tunnel.

        Raises:
            NoSuchTunnelError: No tunnel has this name.
        """
        try:
            return self._runners[name]
        except KeyError:
            raise NoSuchTunnelError(name, self._runners) from None

    def __contains__(self, name: str) -> bool:
        return name in self._runners

    def runners(self) -> Iterable[Runner]:
        """Return all runners in the order of the config file, then the ad-hoc ones."""
        return self._runners.values()

    @property
    def tunnels(self) -> dict[str, Tunnel]:
        """The tunnels of the config file, by name."""
        return {n: r.tunnel for n, r in self._runners.items() if r.ad_hoc is None}

    @property
    def ad_hoc_tunnels(self) -> dict[str, Tunnel]:
        """The tunnels that no config file has, by name."""
        return {n: r.tunnel for n, r in self._runners.items() if r.ad_hoc is not None}

    @property
    def has_wanted_tunnel(self) -> bool:
        """Whether any tunnel should be up."""
        return any(is_wanted(runner.state) for runner in self._runners.values())

    def select(self, names: Iterable[str], group: str | None) -> list[Runner]:
        """Return the named tunnels and those of the group, each once, in config file order.

        Raises:
            NoSuchTunnelError: A name is unknown.
            NoSuchGroupError: No tunnel is in the group.
        """
        wanted = {self.runner(name).tunnel.name for name in names}
        if group is not None:
            members = {n for n, runner in self._runners.items() if group in runner.tunnel.groups}
            if not members:
                raise NoSuchGroupError(group)
            wanted |= members
        return [runner for name, runner in self._runners.items() if name in wanted]

    def snapshots(self, names: list[str] | None) -> list[TunnelSnapshot]:
        """Return snapshots of the named tunnels, or of all.

        Raises:
            NoSuchTunnelError: A name is unknown.
        """
        if names is None:
            return [
                tunnel_snapshot(runner, self._context.clock) for runner in self._runners.values()
            ]
        return [tunnel_snapshot(self.runner(name), self._context.clock) for name in names]

    def start(self, names: list[str], group: str | None) -> list[str]:
        """Start tunnels. Without names and group, start every tunnel with autostart."""
        if names or group is not None:
            runners = self.select(names, group)
        else:
            runners = [r for r in self._runners.values() if r.tunnel.autostart and not r.ad_hoc]
        self._claim_configured(runners)
        for runner in runners:
            runner.send(Start())
        return _names(runners)

    async def stop(self, names: list[str], group: str | None) -> list[str]:
        """Stop tunnels and wait until they are stopped."""
        runners = self.select(names, group)
        for runner in runners:
            runner.send(Stop())
        for runner in runners:
            await runner.until_stopped()
        return _names(runners)

    def restart(self, names: list[str], group: str | None, *, graceful: bool) -> list[str]:
        """Reconnect tunnels. graceful: Open the new connection before closing the old one."""
        runners = self.select(names, group)
        self._claim_configured(runners)
        for runner in runners:
            runner.send(RestartGracefully() if graceful else Restart())
        return _names(runners)

    async def apply(
        self, changes: Iterable[Change], order: Collection[str], *, start_added: bool
    ) -> None:
        """Apply the changes of a reload. Unchanged tunnels only retry if they are waiting.

        Args:
            changes: The difference between the old and the new configuration.
            order: The names of all configured tunnels in the order of the new config file.
            start_added: Whether to start new tunnels with autostart.
        """
        changed = set()
        changes = [*changes]
        self._take_over(change.tunnel.name for change in changes if isinstance(change, TakenOver))
        # First, because a new tunnel may use one of their ports; and all together, because one may
        # take seconds to stop.
        removed = [change.name for change in changes if isinstance(change, Removed)]
        await asyncio.gather(*map(self.remove, removed))
        for change in changes:
            match change:
                case Removed() | TakenOver():
                    continue
                case Added(tunnel=tunnel):
                    runner = self.add(tunnel)
                    if start_added and tunnel.autostart:
                        runner.send(Start())
                case HostSettingsChanged():
                    self.reconnect(change)
                case SettingsChanged(tunnel=tunnel):
                    self._reconfigure(tunnel)
                    self.runner(tunnel.name).send(RetryNow())
            changed.add(name_of(change))
        for name, runner in self._runners.items():
            if name not in changed:
                runner.send(RetryNow())
        ad_hoc = [name for name in self._runners if name not in order]
        self._runners = {name: self._runners[name] for name in [*order, *ad_hoc]}

    def reconnect(self, change: HostSettingsChanged) -> None:
        """Reconnect a tunnel with new host settings."""
        self._reconfigure(change.tunnel)
        self.runner(change.tunnel.name).send(HostChanged())

    async def close(self) -> None:
        """Stop every tunnel and wait until all runners have ended."""
        self._is_closed = True
        for runner in self._runners.values():
            runner.shutdown()
        if self._runner_tasks:
            await asyncio.wait(self._runner_tasks)

    def retry_same_server(self, name: str) -> None:
        """Let the tunnels that wait for the same server retry, because this tunnel came up."""
        first_hop = self.runner(name).host_chain[0]
        for runner in self._runners.values():
            if runner.is_waiting_for_server(first_hop):
                runner.send(RetryNow())

    def network_changed(self, present: frozenset[str] | None) -> None:
        """End every retry delay and probe every connection after a resume or network change.

        present: The current addresses of this machine, or None if they may be unchanged.
        """
        self._context.ssh_context.connection_tracker.network_changed(present)
        self.end_waits()

    def end_waits(self) -> None:
        """End every retry delay, because another path may lead to the server."""
        for runner in self._runners.values():
            runner.send(NetworkChanged())

    def abort_connections(self) -> None:
        """Cancel the runners that do not stop."""
        for task in self._runner_tasks:
            task.cancel()

    async def remove(self, name: str) -> None:
        """Remove a tunnel. Return when it holds no connection and no listener."""
        runner = self._runners.pop(name)
        runner.shutdown()
        await runner.until_stopped()
        self._on_removed(name)

    def _take_over(self, names: Iterable[str]) -> None:
        """Treat ad-hoc tunnels as those of the config file, before one of them ends by itself."""
        for name in names:
            self.runner(name).ad_hoc = None
            self._context.on_change(name)

    def _claim_configured(self, runners: Iterable[Runner]) -> None:
        """Claim tunnels of the config file. No other supervisor has our ad-hoc ones."""
        self.claim(_names(runner for runner in runners if runner.ad_hoc is None))

    def _reconfigure(self, tunnel: Tunnel) -> None:
        self.runner(tunnel.name).send(Reconfigure(tunnel))


def _names(runners: Iterable[Runner]) -> list[str]:
    return [runner.tunnel.name for runner in runners]
