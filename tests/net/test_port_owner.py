"""Who holds a port is looked up once for all that ask at about the same time."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tunnelkeeper.net.port_owner import AT_LEAST, GOOD_FOR, PortOwners

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Looks:
    """Counts how often the system was asked, and says what time it is."""

    number: int = 0
    now: float = 1000.0


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    counted, real = Looks(), psutil.net_connections

    def count(kind: str) -> list[Any]:
        counted.number += 1
        return list(real(kind))

    monkeypatch.setattr(psutil, "net_connections", count)
    return counted


@pytest.fixture
def ports() -> Iterator[list[int]]:
    """Of servers of this process."""
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("127.0.0.1", 0)) as second,
    ):
        yield [first.getsockname()[1], second.getsockname()[1]]


HERE = psutil.Process()
US = f"{HERE.name()} (pid {HERE.pid})"


def test_many_busy_ports_are_one_look(looks: Looks, ports: list[int]) -> None:
    known = PortOwners(lambda: looks.now)

    assert [known.of(port) for port in ports * 50] == [US] * 100
    assert looks.number == 1


def test_a_look_is_good_for_a_while(looks: Looks, ports: list[int]) -> None:
    known = PortOwners(lambda: looks.now)
    for seconds in (0, GOOD_FOR - 0.1, 0.1):
        looks.now += seconds
        assert known.of(ports[0]) == US

    assert looks.number == 2


def test_a_port_that_was_not_seen_is_looked_for_but_not_at_every_question(
    looks: Looks, ports: list[int]
) -> None:
    known = PortOwners(lambda: looks.now)
    known.of(ports[0])
    with socket.create_server(("127.0.0.1", 0)) as late:
        port = late.getsockname()[1]
        assert known.of(port) == ""
        assert looks.number == 1

        looks.now += AT_LEAST

        assert known.of(port) == US
    assert looks.number == 2


def test_where_the_system_does_not_tell_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(kind: str) -> list[object]:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", denied)

    assert PortOwners().of(22) == ""


def test_a_program_that_has_just_ended_is_not_named(
    looks: Looks, ports: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = PortOwners(lambda: looks.now)
    known.of(ports[0])

    def gone(pid: int) -> psutil.Process:
        raise psutil.NoSuchProcess(pid)

    monkeypatch.setattr(psutil, "Process", gone)

    assert known.of(ports[0]) == ""
