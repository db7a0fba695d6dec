"""The keepalives of one connection: asks core.keepalive what is due, and does it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

import asyncssh

from tunnelkeeper.core.keepalive import ANSWER_WITHIN, Verdict, begin, look, urge
from tunnelkeeper.ssh.steps import PeerDead

if TYPE_CHECKING:
    from tunnelkeeper.core.tunnels import Keepalive
    from tunnelkeeper.ssh.transport import Link


class Heartbeat:
    """Watches a transport from its login on. rtt_ms: of the last answered probe, or None."""

    def __init__(self, transport: Link, keepalive: Keepalive) -> None:
        self.rtt_ms: float | None = None
        self._transport = transport
        self._keepalive = keepalive
        self._timer: asyncio.TimerHandle | None = None
        self._watch = begin(time.monotonic(), keepalive)
        self._schedule()
        transport.open_in_own_task(self._probe(time.monotonic()))  # status has a round trip soon

    def ask(self) -> None:
        """Probe out of turn: this machine woke or its network changed, and the peer may be gone."""
        now = time.monotonic()
        heard = self._transport.last_heard
        self._watch, verdict = urge(self._watch, now, heard, self._keepalive)
        if verdict is Verdict.PROBE:
            self.stop()
            self._transport.open_in_own_task(self._probe(now))
            self._schedule()

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        self._timer = None
        if self._watch.due_at < inf:
            delay = max(0.0, self._watch.due_at - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._due)

    def _due(self) -> None:
        self._timer = None
        if self._transport.is_closed():
            return
        now = time.monotonic()
        self._watch, verdict = look(self._watch, now, self._transport.last_heard, self._keepalive)
        match verdict:
            case Verdict.PROBE:
                self._transport.open_in_own_task(self._probe(now))
            case Verdict.DEAD:
                self._transport.connection_lost(PeerDead(self._silence(now)))
            case Verdict.WAIT:
                pass
        self._schedule()

    def _silence(self, now: float) -> str:
        if now >= self._watch.dead_at:
            asked = f"no answer within {ANSWER_WITHIN:g} s of a wake or a change of network"
        else:
            asked = f"no answer to {self._watch.unanswered} keepalives"
        return f"{asked}, silent for {now - self._transport.last_heard:.0f} s"

    async def _probe(self, sent_at: float) -> None:
        with suppress(OSError, asyncssh.Error):
            await self._transport.keepalive()
            self.rtt_ms = round((time.monotonic() - sent_at) * 1000, 3)
