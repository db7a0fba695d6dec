"""The owners of all ports come from one scan, which is cached for a while."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tunnelkeeper.net.port_owner import MAX_AGE, MIN_INTERVAL, PortOwners

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class ScanCounter:
    """Counts scans. now: the current time of the fake clock."""

    number: int = 0
    now: float = 1000.0


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> ScanCounter:
    counter, net_connections = ScanCounter(), psutil.net_connections

    def count(kind: str) -> list[Any]:
        counter.number += 1
        return list(net_connections(kind))

    monkeypatch.setattr(psutil, "net_connections", count)
    return counter


@pytest.fixture
def ports() -> Iterator[list[int]]:
    """Return the ports of two servers of this process."""
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("127.0.0.1", 0)) as second,
    ):
        yield [first.getsockname()[1], second.getsockname()[1]]


PROCESS = psutil.Process()
OWNER = f"{PROCESS.name()} (pid {PROCESS.pid})"


def test_many_busy_ports_share_one_scan(scans: ScanCounter, ports: list[int]) -> None:
    owners = PortOwners(lambda: scans.now)

    assert [owners.owner_of(port) for port in ports * 50] == [OWNER] * 100
    assert scans.number == 1


def test_a_scan_is_reused_for_a_while(scans: ScanCounter, ports: list[int]) -> None:
    owners = PortOwners(lambda: scans.now)
    for seconds in (0, MAX_AGE - 0.1, 0.1):
        scans.now += seconds
        assert owners.owner_of(ports[0]) == OWNER

    assert scans.number == 2


def test_an_unknown_port_causes_a_scan_but_not_at_every_request(
    scans: ScanCounter, ports: list[int]
) -> None:
    owners = PortOwners(lambda: scans.now)
    owners.owner_of(ports[0])
    with socket.create_server(("127.0.0.1", 0)) as new_server:
        port = new_server.getsockname()[1]
        assert owners.owner_of(port) == ""
        assert scans.number == 1

        scans.now += MIN_INTERVAL

        assert owners.owner_of(port) == OWNER
    assert scans.number == 2


def test_without_permission_the_owner_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_access_denied(kind: str) -> list[object]:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", raise_access_denied)

    assert PortOwners().owner_of(22) == ""


def test_a_process_that_has_ended_is_not_named(
    scans: ScanCounter, ports: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = PortOwners(lambda: scans.now)
    owners.owner_of(ports[0])

    def raise_no_such_process(pid: int) -> psutil.Process:
        raise psutil.NoSuchProcess(pid)

    monkeypatch.setattr(psutil, "Process", raise_no_such_process)

    assert owners.owner_of(ports[0]) == ""
