"""The timer that ends an ad-hoc tunnel whose time has passed. Without a limit it does nothing."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.clock import Clock, Timer
    from tunnelkeeper.tunnel.runner import Runner


class EndTimer:
    """Calls on_end when the time of a runner's tunnel has passed, as its `ad_hoc` says.

    The monotonic clock leaves out the time that the machine is suspended. `on_resume` counts it.
    """

    def __init__(self, runner: Runner, clock: Clock, on_end: Callable[[], None]) -> None:
        self._runner = runner
        self._clock = clock
        self._on_end = on_end
        self._suspended = self._suspended_seconds()
        self._timer: Timer | None = None
        self._set()

    def on_resume(self) -> None:
        """Count the time that the machine was suspended, if it was."""
        slept = self._suspended_seconds() - self._suspended
        self._suspended += slept
        ad_hoc = self._runner.ad_hoc
        if ad_hoc is not None and slept:
            self._runner.ad_hoc = replace(ad_hoc, ends_at=ad_hoc.ends_at - slept)
            self.cancel()
            self._set()

    def cancel(self) -> None:
        """Call nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self) -> None:
        ends_at = inf if self._runner.ad_hoc is None else self._runner.ad_hoc.ends_at
        if ends_at < inf:
            self._timer = self._clock.call_at(ends_at, self._on_end)

    def _suspended_seconds(self) -> float:
        boottime = self._clock.boottime()
        return 0.0 if boottime is None else boottime - self._clock.monotonic()
