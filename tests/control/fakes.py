"""A supervisor that holds no tunnel, and a control server for it in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from tunnelkeeper.control.api import (
    ConfigRejectedError,
    NoSuchGroupError,
    NoSuchTunnelError,
    RequestFailedError,
)
from tunnelkeeper.control.payloads import Event, RemovedEvent, TunnelEvent
from tunnelkeeper.control.server import ControlServer
from tunnelkeeper.core.snapshot import (
    FailureSnapshot,
    ForwardSnapshot,
    LogRecord,
    StatusSnapshot,
    SupervisorSnapshot,
    TunnelSnapshot,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOON = "2026-11-22T12:00:00Z"
DEADLINE = 30.0

REFUSED = FailureSnapshot("refused", "me@relay:22", "Connection refused", "is sshd running?", NOON)


def a_forward(**changes: object) -> ForwardSnapshot:
    forward = ForwardSnapshot("local", "127.0.0.1:5432", "db.internal:5432", "listening")
    return msgspec.structs.replace(forward, **changes)


def a_tunnel(name: str = "db", state: str = "up", **changes: object) -> TunnelSnapshot:
    tunnel = TunnelSnapshot(
        name=name,
        state="up",
        wanted=True,
        since=NOON,
        host="me@relay:22",
        jump=[],
        groups=[],
        attempt=0,
        retry_at=None,
        restarts=0,
        rtt_ms=1.2,
        cipher="aes128-gcm@openssh.com",
        bytes_in=0,
        bytes_out=0,
        connections=0,
        connections_total=0,
        failure=None,
        forwards=[a_forward()],
    )
    return msgspec.structs.replace(tunnel, state=state, **changes)


class FakeSupervisor:
    """Does what the control server's Supervised promises, to values in memory.

    On `connect`, the target "echo:7" sends everything back in capitals; any other refuses.
    """

    def __init__(self, *tunnels: TunnelSnapshot) -> None:
        self.tunnels = {tunnel.name: tunnel for tunnel in tunnels or (a_tunnel(),)}
        self.records = [LogRecord(NOON, "info", "db", "up"), LogRecord(NOON, "info", "", "started")]
        self.problems: list[str] = []
        self.listeners: set[Callable[[Event], None]] = set()
        self.asked: list[tuple[object, ...]] = []
        self.counters_every: float | None = None
        self.has_ended = asyncio.Event()
        self.is_subscribed = asyncio.Event()
        self.is_followed = asyncio.Event()
        self.is_unfollowed = asyncio.Event()

    def status(self, names: list[str] | None) -> StatusSnapshot:
        found = self.tunnels.values() if names is None else map(self._named, names)
        self._asked_by_a_follower()
        return StatusSnapshot(
            SupervisorSnapshot("0.1.0", os.getpid(), "/etc/tunnels.toml", NOON, 1, 0.1, 9),
            list(found),
        )

    async def start(self, names: list[str], group: str | None) -> list[str]:
        return self._ask("start", names, group)

    async def stop(self, names: list[str], group: str | None) -> list[str]:
        return self._ask("stop", names, group)

    async def restart(
        self, names: list[str], group: str | None, *, graceful: bool = False
    ) -> list[str]:
        return self._ask("restart gracefully" if graceful else "restart", names, group)

    async def reload(self) -> list[str]:
        if self.problems:
            raise ConfigRejectedError(self.problems)
        return ["db: a forward was added"]

    def logs(self, name: str | None, lines: int) -> list[LogRecord]:
        if name is not None:
            self._named(name)
        found = [record for record in self.records if name in {None, record.tunnel}]
        self._asked_by_a_follower()
        return found[len(found) - min(lines, len(found)) :]

    def shutdown(self) -> None:
        self.has_ended.set()

    def subscribe(
        self, listener: Callable[[Event], None], counters_every: float | None
    ) -> Callable[[], None]:
        self.counters_every = counters_every
        self.listeners.add(listener)
        self.is_subscribed.set()

        def unsubscribe() -> None:
            self.listeners.discard(listener)
            if not self.listeners:
                self.is_unfollowed.set()

        return unsubscribe

    async def connect(
        self, name: str, target: str, sock: socket.socket, early: bytes, confirm: Callable[[], None]
    ) -> None:
        self._named(name)
        if target != "echo:7":
            raise RequestFailedError(f"{target}: Connection refused")
        confirm()
        loop = asyncio.get_running_loop()
        data = early or await loop.sock_recv(sock, 65536)
        while data:
            await loop.sock_sendall(sock, data.upper())
            data = await loop.sock_recv(sock, 65536)
        await loop.sock_sendall(sock, b"BYE")

    def publish(self, event: Event) -> None:
        match event:
            case TunnelEvent(tunnel):
                self.tunnels[tunnel.name] = tunnel
            case RemovedEvent(name):
                del self.tunnels[name]
        for listener in list(self.listeners):
            listener(event)

    def _asked_by_a_follower(self) -> None:
        if self.listeners:
            self.is_followed.set()

    def _named(self, name: str) -> TunnelSnapshot:
        if name not in self.tunnels:
            raise NoSuchTunnelError(name)
        return self.tunnels[name]

    def _ask(self, what: str, names: list[str], group: str | None) -> list[str]:
        self.asked.append((what, names, group))
        if group == "nobody":
            raise NoSuchGroupError(group)
        return [self._named(name).name for name in names or self.tunnels]


class RunningServer:
    """A control server in a thread; what it serves may be changed through `publish`."""

    def __init__(self, path: Path, fake: FakeSupervisor) -> None:
        self.path = path
        self.fake = fake
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(DEADLINE)

    def join(self) -> None:
        """Return when it was shut down."""
        self._thread.join()

    def stop(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: it was shut down already
            self._loop.call_soon_threadsafe(self.fake.has_ended.set)
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()

    def publish(self, *events: Event, once_followed: bool = False, and_end: bool = False) -> None:
        """Publish from the loop's thread.

        once_followed: not before somebody subscribed and then asked. and_end: shut down then.
        """
        coroutine = self._publish(events, once_followed, and_end)
        asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _publish(self, events: tuple[Event, ...], once_followed: bool, and_end: bool) -> None:
        if once_followed:
            await self.fake.is_followed.wait()
        for event in events:
            self.fake.publish(event)
        if and_end:
            self.fake.has_ended.set()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as tasks, ControlServer(self.path, self.fake).serving(tasks):
            self._started.set()
            await self.fake.has_ended.wait()


@contextmanager
def running_server(path: Path, *tunnels: TunnelSnapshot) -> Iterator[RunningServer]:
    server = RunningServer(path, FakeSupervisor(*tunnels))
    server.start()
    try:
        yield server
    finally:
        server.stop()
