"""The ad-hoc tunnels of a supervisor: opened by a request, and forgotten at their end.

Their runners are in the registry, beside those of the config file. It writes no file.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

from tunnelkeeper.config.ad_hoc import (
    InvalidTunnelError,
    check_name,
    find_shared_listeners,
    resolve_tunnel,
)
from tunnelkeeper.control.api import (
    ConfigRejectedError,
    NoSuchTunnelError,
    RequestFailedError,
    TunnelRefusedError,
)
from tunnelkeeper.control.payloads import Opened
from tunnelkeeper.core.ad_hoc import AdHoc, name_for_host, names_with_other_settings
from tunnelkeeper.core.lifecycle import Start
from tunnelkeeper.core.message import Message
from tunnelkeeper.presentation.formatting import format_duration
from tunnelkeeper.tunnel.end_timer import EndTimer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tunnelkeeper.clock import Clock
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
        self._timers: dict[Runner, EndTimer] = {}
        self._is_closed = False

    async def open(
        self, params: OpenParams, file: Configuration
    ) -> tuple[Opened, Callable[[], None]]:
        """Open a tunnel. The second result ends it.

        Raises TunnelRefusedError, RequestFailedError.
        """
        await self._wait_for_ends()  # one of them may still hold a port that this tunnel uses
        if self._is_closed:
            raise RequestFailedError("the supervisor is ending")
        if len(self._registry.ad_hoc_tunnels) >= MAX_TUNNELS:
            raise RequestFailedError(f"{MAX_TUNNELS} ad-hoc tunnels are open, and no more can be")
        taken = {**self._registry.tunnels, **self._registry.ad_hoc_tunnels}
        name = params.name
        if name is None:
            name = name_for_host(str(params.table.get("host", "")), taken)
        elif name in taken:
            problem = f"there is a tunnel {name} already"
            raise TunnelRefusedError([Message(problem, "choose another name with --name NAME")])
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
        self._timers[runner] = EndTimer(
            runner, self._clock, lambda: self._end(runner, "its time has passed")
        )
        return Opened(name, warnings), lambda: self._end(runner, "its command has ended")

    def table(self, name: str) -> dict[str, object]:
        """Return the table of a tunnel.

        Raises NoSuchTunnelError.
        """
        ad_hoc = self._registry.runner(name).ad_hoc
        if ad_hoc is None:
            raise NoSuchTunnelError(name)
        return dict(ad_hoc.table)

    async def release_taken_over(self, new: Configuration) -> list[str]:
        """Return the tunnels that a new configuration takes over: it has the same settings.

        Raises ConfigRejectedError if it has one with other settings, and what `claim` raises.
        """
        await self._wait_for_ends()
        ad_hoc = self._registry.ad_hoc_tunnels
        if others := names_with_other_settings(ad_hoc, new.tunnels):
            raise ConfigRejectedError(
                [
                    Message(
                        f"{new.path}: tunnels.{name}: an ad-hoc tunnel of this name is open, and "
                        "has other settings",
                        f"tunnelkeeper stop {name}",
                    )
                    for name in others
                ]
            )
        taken_over = [name for name in ad_hoc if name in new.tunnels]
        self._registry.claim(taken_over)
        for name in taken_over:
            self._timers.pop(self._registry.runner(name)).cancel()
        kept = [tunnel for name, tunnel in ad_hoc.items() if name not in taken_over]
        for problem in find_shared_listeners(kept, new):
            self._event_log.write("warning", "", f"{new.path}: {problem}")
        return taken_over

    async def end(self, names: Collection[str]) -> None:
        """End those of these tunnels that are ad-hoc. They have been stopped."""
        for runner in list(self._registry.runners()):
            if runner.tunnel.name in names:
                self._end(runner, "stopped")
        await self._wait_for_ends()

    def on_resume(self) -> None:
        """Count the time that the machine was suspended."""
        for timer in self._timers.values():
            timer.on_resume()

    def close(self) -> None:
        """Open no tunnel and end none by itself any more: the registry ends all of them now."""
        self._is_closed = True
        for timer in self._timers.values():
            timer.cancel()

    async def _wait_for_ends(self) -> None:
        while self._ends:  # others may begin to end meanwhile
            await asyncio.wait(self._ends.values())

    def _end(self, runner: Runner, reason: str) -> None:
        """End a tunnel, unless it has ended or the config file has taken it over."""
        if self._is_closed or runner in self._ends or runner.ad_hoc is None:
            return
        if runner not in self._registry.runners():
            return
        self._timers.pop(runner).cancel()
        end = self._tasks.create_task(self._remove(runner.tunnel.name, reason))
        self._ends[runner] = end
        end.add_done_callback(lambda _: self._ends.pop(runner))

    async def _remove(self, name: str, reason: str) -> None:
        await self._registry.remove(name)
        # The records of the tunnel are forgotten. This one stays, among those of the supervisor.
        self._event_log.write("info", "", f"the tunnel {name} has ended: {reason}")
        self._on_ended()
