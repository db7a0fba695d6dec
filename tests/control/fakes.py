"""A fake supervisor without tunnels, and a control server for it in its own thread."""

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
    NoSuchKeyError,
    NoSuchTunnelError,
    RequestFailedError,
    TunnelRefusedError,
)
from tunnelkeeper.control.payloads import (
    Event,
    Locked,
    Opened,
    OpenParams,
    RemovedEvent,
    TunnelEvent,
    Unlocking,
)
from tunnelkeeper.control.server import ControlServer
from tunnelkeeper.core.snapshot import (
    FailureSnapshot,
    ForwardSnapshot,
    LogRecord,
    QuestionSnapshot,
    StatusSnapshot,
    SupervisorSnapshot,
    TunnelSnapshot,
)
from tunnelkeeper.questions.board import QuestionBoard
from tunnelkeeper.tunnel.snapshots import question_event, question_snapshot

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from tunnelkeeper.core.message import Message
    from tunnelkeeper.core.questions import Change, Question

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
    """Implements the control server's SupervisorApi on values in memory.

    On `connect`, the target "echo:7" echoes data in capitals; any other target refuses.
    """

    def __init__(self, *tunnels: TunnelSnapshot) -> None:
        self.tunnels = {tunnel.name: tunnel for tunnel in tunnels or (a_tunnel(),)}
        self.records = [LogRecord(NOON, "info", "db", "up"), LogRecord(NOON, "info", "", "started")]
        self.problems: list[Message] = []
        self.tables: dict[str, dict[str, object]] = {}
        self.opened_state = "up"
        self.ended: list[str] = []
        self.has_ended_tunnel = asyncio.Event()
        self.config = "/etc/tunnels.toml"
        self.config_changed = False
        self.listeners: set[Callable[[Event], None]] = set()
        self.requests: list[tuple[object, ...]] = []
        self.counters_every: float | None = None
        self.has_ended = asyncio.Event()
        self.is_subscribed = asyncio.Event()
        self.has_subscriber_request = asyncio.Event()
        self.has_no_subscribers = asyncio.Event()

        self.questions = QuestionBoard()
        self.questions.subscribe(lambda change: self.publish(self._question_event(change)))

    def _question_event(self, change: Change) -> Event:
        return question_event(change, self.questions.now())

    def question_snapshots(self) -> list[QuestionSnapshot]:
        return [self.question_snapshot(question) for question in self.questions.questions]

    def question_snapshot(self, question: Question) -> QuestionSnapshot:
        return question_snapshot(question, self.questions.now())

    async def unlock(self, key: str | None, names: list[str], seconds: float | None) -> Unlocking:
        self.requests.append(("unlock", key, names, seconds))
        if key == "/no/such/file":
            raise NoSuchKeyError(key)
        return Unlocking([question.id for question in self.questions.questions])

    def lock(self) -> Locked:
        self.requests.append(("lock",))
        return Locked(2, 1)

    async def status(self, names: list[str] | None) -> StatusSnapshot:
        return self.snapshot(names)

    def snapshot(self, names: list[str] | None) -> StatusSnapshot:
        tunnels = self.tunnels.values() if names is None else map(self._find_tunnel, names)
        self._note_subscriber_request()
        return StatusSnapshot(
            SupervisorSnapshot(
                "0.1.0", os.getpid(), self.config, NOON, 1, 0.1, 9, self.config_changed
            ),
            list(tunnels),
            self.question_snapshots(),
        )

    async def start(self, names: list[str], group: str | None) -> list[str]:
        return self._record_request("start", names, group)

    async def stop(self, names: list[str], group: str | None) -> list[str]:
        return self._record_request("stop", names, group)

    async def restart(
        self, names: list[str], group: str | None, *, graceful: bool = False
    ) -> list[str]:
        return self._record_request("restart gracefully" if graceful else "restart", names, group)

    async def open(self, params: OpenParams) -> tuple[Opened, Callable[[], None]]:
        if self.problems:
            raise TunnelRefusedError(self.problems)
        name = params.name or "relay"
        self.requests.append(("open", params))
        self.tables[name] = params.table
        self.publish(TunnelEvent(a_tunnel(name, self.opened_state, ad_hoc=True)))

        def end() -> None:
            self.ended.append(name)
            self.has_ended_tunnel.set()

        return Opened(name), end

    def table(self, name: str) -> dict[str, object]:
        if name not in self.tables:
            raise NoSuchTunnelError(name)
        return self.tables[name]

    async def reload(self) -> list[str]:
        if self.problems:
            raise ConfigRejectedError(self.problems)
        return ["db: a forward was added"]

    def logs(self, name: str | None, lines: int) -> list[LogRecord]:
        if name is not None:
            self._find_tunnel(name)
        records = [record for record in self.records if name in {None, record.tunnel}]
        self._note_subscriber_request()
        return records[len(records) - min(lines, len(records)) :]

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
                self.has_no_subscribers.set()

        return unsubscribe

    async def connect(
        self, name: str, target: str, sock: socket.socket, early: bytes, confirm: Callable[[], None]
    ) -> None:
        self._find_tunnel(name)
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

    def _note_subscriber_request(self) -> None:
        if self.listeners:
            self.has_subscriber_request.set()

    def _find_tunnel(self, name: str) -> TunnelSnapshot:
        if name not in self.tunnels:
            raise NoSuchTunnelError(name)
        return self.tunnels[name]

    def _record_request(self, method: str, names: list[str], group: str | None) -> list[str]:
        self.requests.append((method, names, group))
        if group == "unknown":
            raise NoSuchGroupError(group)
        return [self._find_tunnel(name).name for name in names or self.tunnels]


class RunningServer:
    """A control server in a thread. `publish` changes its data and sends events."""

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
        """Wait until the server has shut down."""
        self._thread.join()

    def stop(self) -> None:
        with suppress(RuntimeError):  # the loop is closed, because the server has shut down
            self._loop.call_soon_threadsafe(self.fake.has_ended.set)
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()

    def publish(
        self, *events: Event, after_subscription: bool = False, then_shut_down: bool = False
    ) -> None:
        """Publish from the loop's thread.

        after_subscription: wait until a client has subscribed and sent another request.
        then_shut_down: shut the server down afterwards.
        """
        coroutine = self._publish(events, after_subscription, then_shut_down)
        asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[object, object, None]) -> None:
        """Run a coroutine in the loop's thread, and wait for it."""
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(DEADLINE)

    async def _publish(
        self, events: tuple[Event, ...], after_subscription: bool, then_shut_down: bool
    ) -> None:
        if after_subscription:
            await self.fake.has_subscriber_request.wait()
        for event in events:
            self.fake.publish(event)
        if then_shut_down:
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
