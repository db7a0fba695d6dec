"""`tunnelkeeper forward` in the foreground with a supervisor, which holds the tunnel meanwhile."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tunnelkeeper.cli.answering import asking
from tunnelkeeper.control.client_errors import NoSupervisorError, RemoteError
from tunnelkeeper.control.jsonrpc import ProtocolError
from tunnelkeeper.control.payloads import LogEvent, RemovedEvent, TunnelEvent
from tunnelkeeper.core.first_connection import Reason, cannot_come_up, has_come_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.cli.forward_view import ForwardView
    from tunnelkeeper.cli.wait import Answers
    from tunnelkeeper.control.client import Client
    from tunnelkeeper.control.payloads import Event
    from tunnelkeeper.core.snapshot import TunnelSnapshot

_END_MARGIN = 2.0
"""Seconds by which the time in a snapshot, which is rounded, may differ from the end."""


def passed_seconds() -> float:
    """Return a time in seconds that counts while the machine is suspended, as for a tunnel's end.

    A system without such a clock has the monotonic one.
    """
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class TerminatedError(BaseException):
    """Raised by SIGTERM, so that the tunnel is closed first."""


class HeldForward:
    """A tunnel that ends with the connection `holder`. Another connection receives its events.

    A client that is stopped for long (Ctrl-Z) loses the connection with the events, and keeps the
    first one.
    """

    def __init__(self, holder: Client, name: str, view: ForwardView) -> None:
        self._holder = holder
        self._follower = holder
        self._name = name
        self._view = view
        self._tunnel: TunnelSnapshot | None = None
        self._has_been_up = False

    def run(
        self, follower: Client, timeout: float | None, ends_at: float | None, *, asks: bool
    ) -> tuple[Reason, TunnelSnapshot | None]:
        """Follow the tunnel until it ends or has to.

        Args:
            follower: A connection that has subscribed.
            timeout: Seconds in which it has to come up; None for no limit.
            ends_at: When its time has passed, by `passed_seconds`; None for no such time.
            asks: Whether to ask what it needs to know, if there is a terminal.

        Returns: Why it ends, and its last snapshot.
        """
        self._follower = follower
        with asking(self._follower, [self._name], asks=asks, quiet=self._view.paused) as answers:
            try:
                with _sigterm_raised():
                    reason = self._follow(answers, timeout)
            except KeyboardInterrupt:
                reason = "interrupted"
            except TerminatedError:
                reason = "terminated"
        if reason == "stopped":
            is_over = ends_at is not None and passed_seconds() >= ends_at - _END_MARGIN
            return "time_passed" if is_over else reason, self._tunnel
        if self._tunnel is not None and not self._tunnel.ad_hoc:
            return reason, self._tunnel  # the config file has taken it over
        with suppress(NoSupervisorError, RemoteError, ProtocolError, OSError):
            self._holder.stop([self._name])  # it holds no port any more when this returns
        return reason, self._tunnel

    def _follow(self, answers: Answers, timeout: float | None) -> Reason:
        deadline = None if timeout is None else time.monotonic() + timeout
        answers.attend()
        status = self._follower.status()
        answers.learn(status.questions)
        found = [tunnel for tunnel in status.tunnels if tunnel.name == self._name]
        if not found:
            return "stopped"
        self._show(found[0])
        while True:
            taken = answers.ask()
            if deadline is not None:
                deadline += taken
            if self._has_failed(answers):
                return "failed"
            if deadline is not None and not self._has_been_up and time.monotonic() >= deadline:
                return "timed_out"
            if not self._wait_for_event(answers, None if self._has_been_up else deadline):
                return "stopped"

    def _has_failed(self, answers: Answers) -> bool:
        tunnel = self._tunnel
        if tunnel is None or self._has_been_up or not cannot_come_up(tunnel):
            return False
        return not answers.expects_more(tunnel)

    def _wait_for_event(self, answers: Answers, deadline: float | None) -> bool:
        """Wait for an event or the next refresh. Return False if the tunnel is gone."""
        interval = self._view.refresh_interval
        refresh_at = None if interval is None else time.monotonic() + interval
        until = min((each for each in (deadline, refresh_at) if each is not None), default=None)
        try:
            event = next(self._follower.events(until))
        except TimeoutError:
            return self._refresh()
        answers.on_event(event)
        return self._on_event(event)

    def _on_event(self, event: Event) -> bool:
        match event:
            case TunnelEvent(tunnel) if tunnel.name == self._name:
                self._show(tunnel)
            case LogEvent(record) if record.tunnel == self._name:
                self._view.on_record(record)
            case RemovedEvent(name):
                return name != self._name
        return True

    def _refresh(self) -> bool:
        """Show the counters, which cause no event."""
        try:
            [tunnel] = self._follower.status([self._name]).tunnels
        except RemoteError:
            return False
        self._show(tunnel)
        return True

    def _show(self, tunnel: TunnelSnapshot) -> None:
        self._tunnel = tunnel
        self._has_been_up = self._has_been_up or has_come_up(tunnel)
        self._view.on_tunnel(tunnel)


@contextmanager
def _sigterm_raised() -> Iterator[None]:
    """Raise TerminatedError on SIGTERM while the body runs."""

    def raise_error(_number: int, _frame: object) -> None:
        raise TerminatedError

    before = signal.signal(signal.SIGTERM, raise_error)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
