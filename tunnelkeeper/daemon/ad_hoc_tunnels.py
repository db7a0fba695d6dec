"""The ad-hoc tunnels of a supervisor: opened by a request, and forgotten at their end.

Their runners are in the registry, beside those of the config file. It writes no file.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from tunnelkeeper.config.ad_hoc import InvalidTunnelError, check_name, resolve_tunnel
from tunnelkeeper.control.api import (
    ConfigRejectedError,
    NoSuchTunnelError,
    RequestFailedError,
    TunnelRefusedError,
)
from tunnelkeeper.control.payloads import Opened
from tunnelkeeper.core.ad_hoc import AdHoc, name_for_host, names_with_other_settings
from tunnelkeeper.core.lifecycle import Start
from tunnelkeeper.presentation.formatting import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tunnelkeeper.clock import Clock, Timer
    from tunnelkeeper.control.payloads import OpenParams
    from tunnelkeeper.core.configuration import Configuration
    from tunnelkeeper.daemon.tunnel_registry import TunnelRegistry
    from tunnelkeeper.tunnel.event_log import EventLog
    from tunnelkeeper.tunnel.runner import Runner

MAX_TUNNELS = 256
"""Ad-hoc tunnels at a time. A program that opens them in a loop is refused, not served."""


class AdHocTunnels:
    """Opens and ends ad-hoc tunnels. tasks owns their ends. on_ended: called after each end."""

    def __init__(
        self,
        registry: TunnelRegistry,
        event_log: EventLog,
        clock: Clock,
        tasks: asyncio.TaskGroup,
        on_ended: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._event_log = event_log
        self._clock = clock
        self._tasks = tasks
        self._on_ended = on_ended
        self._ends: dict[Runner, asyncio.Task[None]] = {}
        self._timer: Timer | None = None
        self._suspended = self._suspended_seconds()

    async def open(
        self, params: OpenParams, file: Configuration
    ) -> tuple[Opened, Callable[[], None]]:
        """Open a tunnel. The second result ends it.

        Raises TunnelRefusedError, RequestFailedError.
        """
        await self._wait_for_ends()  # one of them may still hold a port that this tunnel uses
        if len(self._registry.ad_hoc_tunnels) >= MAX_TUNNELS:
            raise RequestFailedError(f"{MAX_TUNNELS} ad-hoc tunnels are open, and no more can be")
        taken = {**self._registry.tunnels, **self._registry.ad_hoc_tunnels}
        name = params.name
        if name is None:
            name = name_for_host(str(params.table.get("host", "")), taken)
        elif name in taken:
            raise TunnelRefusedError([f"there is a tunnel {name} already; choose another name"])
        try:
            check_name(name)
            tunnel, warnings = resolve_tunnel(name, params.table, file, taken.values())
        except InvalidTunnelError as error:
            raise TunnelRefusedError(error.problems) from None
        limit = params.for_seconds
        ends_at = inf if limit is None else self._clock.monotonic() + limit
        runner = self._registry.add(tunnel, AdHoc(params.table, ends_at))
        forwards = ", ".join(map(str, tunnel.forwards))
        until = "" if limit is None else f", for {format_duration(limit)}"
        self._event_log.write("info", name, f"opened by a command: {tunnel.host} {forwards}{until}")
        runner.send(Start())
        self._set_timer()
        return Opened(name, warnings), lambda: self._end(runner, "its command has ended")

    def table(self, name: str) -> dict[str, object]:
        """Return the table of a tunnel.

        Raises NoSuchTunnelError.
        """
        ad_hoc = self._registry.runner(name).ad_hoc
        if ad_hoc is None:
            raise NoSuchTunnelError(name)
        return dict(ad_hoc.table)

    async def find_taken_over(self, new: Configuration) -> list[str]:
        """Return the tunnels that a new configuration has, with the same settings.

        Raises ConfigRejectedError if it has one with other settings, and what `claim` raises.
        """
        await self._wait_for_ends()
        ad_hoc = self._registry.ad_hoc_tunnels
        if others := names_with_other_settings(ad_hoc, new.tunnels):
            raise ConfigRejectedError(
                [
                    f"{new.path}: tunnels.{name}: an ad-hoc tunnel of this name is open, and has "
                    f"other settings; `tunnelkeeper stop {name}` ends it"
                    for name in others
                ]
            )
        taken_over = [name for name in ad_hoc if name in new.tunnels]
        self._registry.claim(taken_over)
        return taken_over

    async def end(self, names: Collection[str]) -> None:
        """End those of these tunnels that are ad-hoc. They have been stopped."""
        for runner, _ in self._open_runners():
            if runner.tunnel.name in names:
                self._end(runner, "stopped")
        await self._wait_for_ends()

    def on_resume(self) -> None:
        """Count the time that the machine was suspended, which the monotonic clock leaves out."""
        before, self._suspended = self._suspended, self._suspended_seconds()
        for runner, ad_hoc in self._open_runners():
            runner.ad_hoc = replace(ad_hoc, ends_at=ad_hoc.ends_at - (self._suspended - before))
        self._end_overdue()

    def stop_timer(self) -> None:
        """End no tunnel because of its time any more: all end now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _open_runners(self) -> list[tuple[Runner, AdHoc]]:
        """Return the runners that do not end already."""
        return [
            (runner, runner.ad_hoc)
            for runner in self._registry.runners()
            if runner.ad_hoc is not None and runner not in self._ends
        ]

    def _end_overdue(self) -> None:
        """End the tunnels whose time has passed."""
        now = self._clock.monotonic()
        for runner, ad_hoc in self._open_runners():
            if ad_hoc.ends_at <= now:
                self._end(runner, "its time has passed")
        self._set_timer()

    def _set_timer(self) -> None:
        self.stop_timer()
        next_end = min((ad_hoc.ends_at for _, ad_hoc in self._open_runners()), default=inf)
        if next_end < inf:
            self._timer = self._clock.call_at(next_end, self._end_overdue)

    def _suspended_seconds(self) -> float:
        boottime = self._clock.boottime()
        return 0.0 if boottime is None else boottime - self._clock.monotonic()

    async def _wait_for_ends(self) -> None:
        if self._ends:
            await asyncio.wait(self._ends.values())

    def _end(self, runner: Runner, reason: str) -> None:
        """End a tunnel, unless it has ended or the config file has taken it over."""
        if runner in self._ends or runner.ad_hoc is None or runner not in self._registry.runners():
            return
        end = self._tasks.create_task(self._remove(runner.tunnel.name, reason))
        self._ends[runner] = end
        end.add_done_callback(lambda _: self._ends.pop(runner))

    async def _remove(self, name: str, reason: str) -> None:
        await self._registry.remove(name)
        self._set_timer()
        # The records of the tunnel are forgotten. This one stays, among those of the supervisor.
        self._event_log.write("info", "", f"the tunnel {name} has ended: {reason}")
        self._on_ended()
