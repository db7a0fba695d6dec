"""Connections with received data share the time of the event loop."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tunnelkeeper.core.fair_queue import Flow
from tunnelkeeper.ssh.fastpath.receive_scheduler import (
    IDLE_AFTER,
    TURN_SECONDS,
    ReceiveScheduler,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PACKET = TURN_SECONDS / 5


class FakeLoop:
    """A loop whose clock the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self._soon: deque[Callable[[], object]] = deque()
        self._later: list[tuple[float, Callable[[], object]]] = []

    def call_soon(self, callback: Callable[[], object]) -> None:
        self._soon.append(callback)

    def call_later(self, delay: float, callback: Callable[[], object]) -> None:
        self._later.append((self.now + delay, callback))

    def turn(self) -> float:
        """Run one turn and return how long it took."""
        began = self.now
        for _ in range(len(self._soon)):
            self._soon.popleft()()
        return self.now - began

    def advance(self, seconds: float) -> None:
        self.now += seconds
        due = [callback for at, callback in self._later if at <= self.now]
        self._later = [(at, callback) for at, callback in self._later if at > self.now]
        for callback in due:
            callback()


@dataclass(eq=False)
class FakeConnection:
    """A connection with packets that take time."""

    loop: FakeLoop
    packets: int
    flow: Flow = field(default_factory=Flow)
    is_logging_in: bool = False
    cost: float = PACKET

    @property
    def has_received(self) -> bool:
        return self.packets > 0

    def process_received(self, turn_end: float) -> int:
        while self.packets:
            self.packets -= 1
            self.loop.now += self.cost
            if self.loop.now >= turn_end:
                break
        return 0


def make() -> tuple[Any, ReceiveScheduler]:
    loop: Any = FakeLoop()
    return loop, ReceiveScheduler(loop, lambda: loop.now)


def test_a_small_read_is_processed_at_once() -> None:
    loop, scheduler = make()
    connection = FakeConnection(loop, packets=2)

    scheduler.receive(connection)

    assert not connection.packets
    assert not scheduler.is_waiting(connection)


def test_the_rest_of_a_large_read_waits_for_the_next_turns() -> None:
    loop, scheduler = make()
    connection = FakeConnection(loop, packets=50)

    scheduler.receive(connection)

    assert connection.packets == 45
    assert loop.turn() <= TURN_SECONDS + PACKET
    while connection.packets:
        assert loop.turn() <= TURN_SECONDS + PACKET
    assert not scheduler.is_waiting(connection)


def test_a_connection_with_little_data_goes_before_those_that_flood() -> None:
    loop, scheduler = make()
    flooding = [FakeConnection(loop, packets=1000) for _ in range(20)]
    for connection in flooding:
        scheduler.receive(connection)
    for _ in range(100):
        loop.turn()
    honest = FakeConnection(loop, packets=1)

    scheduler.receive(honest)
    loop.turn()

    assert not honest.packets
    assert all(connection.packets for connection in flooding)


def test_the_connections_of_one_key_share_one_turn() -> None:
    loop, scheduler = make()
    shared = Flow()
    many = [FakeConnection(loop, 1000, shared) for _ in range(10)]
    one = FakeConnection(loop, 1000)
    for connection in (*many, one):
        scheduler.receive(connection)

    for _ in range(200):
        loop.turn()

    done = sum(1000 - connection.packets for connection in many)
    assert abs(done - (1000 - one.packets)) <= 20


def test_logins_get_a_part_of_the_time_while_others_are_in_use() -> None:
    loop, scheduler = make()
    scheduler.receive(FakeConnection(loop, packets=1))
    logins = [
        FakeConnection(loop, packets=100, is_logging_in=True, cost=TURN_SECONDS) for _ in range(5)
    ]
    for connection in logins:
        scheduler.receive(connection)
    began = loop.now

    for _ in range(300):
        loop.turn()
        scheduler.receive(FakeConnection(loop, packets=1))
        loop.advance(PACKET)

    spent = sum(100 - connection.packets for connection in logins) * TURN_SECONDS
    assert 0 < spent <= (loop.now - began) / 3 + TURN_SECONDS


def test_logins_do_not_wait_while_nothing_else_is_in_use() -> None:
    loop, scheduler = make()
    loop.advance(IDLE_AFTER)
    connection = FakeConnection(loop, packets=100, is_logging_in=True, cost=TURN_SECONDS)
    scheduler.receive(connection)

    for _ in range(100):
        loop.turn()

    assert not connection.packets


def test_logins_are_fair_between_addresses() -> None:
    loop, scheduler = make()
    loop.advance(IDLE_AFTER)
    attacker = Flow()
    for _ in range(50):
        scheduler.receive(FakeConnection(loop, 10, attacker, is_logging_in=True))
    honest = FakeConnection(loop, 1, is_logging_in=True)
    scheduler.receive(honest)

    for _ in range(3):
        loop.turn()

    assert not honest.packets


def test_a_turn_ends_earlier_when_its_tasks_take_long() -> None:
    loop, scheduler = make()

    class Opening(FakeConnection):
        """Each packet starts a task that takes a millisecond."""

        def process_received(self, turn_end: float) -> int:
            started = 0
            while self.packets and self.loop.now < turn_end - started * scheduler.task_seconds:
                self.packets -= 1
                self.loop.now += self.cost
                started += 1
                self.loop.call_soon(lambda: self.loop.advance(0.001))
            return started

    connection = Opening(loop, packets=1000)
    scheduler.receive(connection)
    for _ in range(50):
        loop.turn()
    before = connection.packets
    loop.turn()

    assert scheduler.task_seconds > 0.0009
    assert before - connection.packets == 1
