"""Many tunnels to one server that reconnect at once, and stay below its login limits."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import exchange
from tests.e2e.ports import free_port
from tests.e2e.sandbox import tunnel_table
from tests.e2e.services import echo
from tests.faults.expectation import MARGIN

if TYPE_CHECKING:
    from tests.e2e.program import Program
    from tests.e2e.sandbox import Sandbox
    from tests.e2e.sshd import Sshd

TUNNELS = 500
DEADLINE = 500.0
"""Seconds until the last of the tunnels carries data. It takes ten on a quiet machine."""

CLIENTS = 8
"""Concurrent test clients: few, so that they do not add to the load."""

DEFAULT_MAX_STARTUPS = "10:30:100"
"""The default of MaxStartups in sshd_config(5): from 10 unauthenticated connections on, new ones
are refused at random."""

REFUSED = ("MaxStartups", "drop connection")
"""The log messages of sshd when it refuses connections because of their number."""


def seconds_until_all_carry_data(ports: list[int], program: Program, within: float) -> float:
    """Return the seconds until every port has carried data; fail after `within` seconds."""
    started = time.monotonic()

    def carries_data(port: int) -> bool:
        while time.monotonic() - started < within:
            try:
                if exchange(port, b"data") == b"data":
                    return True
            except OSError:
                continue
        return False

    with ThreadPoolExecutor(CLIENTS) as clients:
        carried = sum(clients.map(carries_data, ports))
    states = [tunnel.state for tunnel in program.status().tunnels]
    assert carried == len(ports), f"{carried} carry data; {states.count('up')} are up"
    return time.monotonic() - started


SMALL_MAX_STARTUPS = "2"
"""MaxStartups of a server that refuses clients while two others log in."""

FEW = 30


def refusals(server: Sshd) -> int:
    """Count the connections that the server has dropped because of their number."""
    return server.log().count("drop connection")


@pytest.mark.timeout(3 * DEADLINE)
def test_five_hundred_tunnels_reconnect_without_a_refusal(sandbox: Sandbox) -> None:
    server = sandbox.sshd(MaxStartups=DEFAULT_MAX_STARTUPS, LogLevel="VERBOSE")
    service = sandbox.service(echo)
    ports = [free_port() for _ in range(TUNNELS)]
    tables = [
        tunnel_table(f"t{number}", server.port, f'local = "{port}:{service}"')
        for number, port in enumerate(ports)
    ]
    program = sandbox.program(*tables)
    program.up()
    first = seconds_until_all_carry_data(ports, program, DEADLINE)
    server.kill()
    # They retry meanwhile, so they are never all in backoff for certain.
    program.wait_for(
        "t0",
        lambda _: all(t.state in {"backoff", "connecting"} for t in program.status().tunnels),
        within=MARGIN,
    )
    server.start()
    back = seconds_until_all_carry_data(ports, program, DEADLINE)
    print(f"{TUNNELS} tunnels: all carry data after {first:.1f} s, and again after {back:.1f} s")

    assert not [line for line in server.log().splitlines() if any(text in line for text in REFUSED)]


def test_a_server_that_allows_two_logins_at_a_time_refuses_few_of_thirty(sandbox: Sandbox) -> None:
    server = sandbox.sshd(MaxStartups=SMALL_MAX_STARTUPS, LogLevel="VERBOSE")
    service = sandbox.service(echo)
    ports = [free_port() for _ in range(FEW)]
    program = sandbox.program(
        *(
            tunnel_table(f"t{number}", server.port, f'local = "{port}:{service}"')
            for number, port in enumerate(ports)
        )
    )
    program.up()
    program.wait_until_up(within=DEADLINE)

    assert 0 < refusals(server) < FEW / 2
    assert "the server closed one of" in program.log()
