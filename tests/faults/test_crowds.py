"""Many tunnels of one server that come back at once: soon, and without looking like a flood."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import exchange
from tests.e2e.ports import free_port
from tests.e2e.services import echo
from tests.e2e.site import tunnel_table
from tests.faults.proof import MARGIN

if TYPE_CHECKING:
    from tests.e2e.program import Program
    from tests.e2e.site import Site
    from tests.e2e.sshd import Sshd

TUNNELS = 500
BACK_WITHIN = 60.0
"""Seconds from the server's return until the last of the tunnels carries data."""

CLIENTS = 8
"""At a time: those who look must not be the crowd."""

DEFAULT = "10:30:100"
"""MaxStartups as sshd_config(5) has it by itself: the tenth that has not logged in is one of those
that are refused by chance."""

REFUSED = ("MaxStartups", "drop connection")
"""What sshd says when it refuses connections for their number."""


def seconds_until_all_carry(ports: list[int], program: Program, within: float) -> float:
    """Seconds until an echo has come back through every port; it has to be in time."""
    began = time.monotonic()

    def carries(port: int) -> bool:
        while time.monotonic() - began < within:
            try:
                if exchange(port, b"data") == b"data":
                    return True
            except OSError:
                continue
        return False

    with ThreadPoolExecutor(CLIENTS) as clients:
        carried = sum(clients.map(carries, ports))
    states = [tunnel.state for tunnel in program.status().tunnels]
    assert carried == len(ports), f"{carried} carry data; {states.count('up')} are up"
    return time.monotonic() - began


SMALL = "2"
"""MaxStartups of a server that refuses clients while two others log in."""

FEW = 30


def refusals(server: Sshd) -> int:
    """How many connections the server has dropped for their number."""
    return server.log().count("drop connection")


@pytest.mark.timeout(600)
def test_five_hundred_tunnels_come_back_and_the_server_refuses_none(site: Site) -> None:
    server = site.sshd(MaxStartups=DEFAULT, LogLevel="VERBOSE")
    service = site.service(echo)
    ports = [free_port() for _ in range(TUNNELS)]
    tables = [
        tunnel_table(f"t{number}", server.port, f'local = "{port}:{service}"')
        for number, port in enumerate(ports)
    ]
    program = site.program(*tables)
    program.up()
    first = seconds_until_all_carry(ports, program, BACK_WITHIN + MARGIN)
    server.kill()
    # They retry while the server is away: at no moment are all of them in backoff for sure.
    program.wait_for(
        "t0",
        lambda _: all(t.state in {"backoff", "connecting"} for t in program.status().tunnels),
        within=MARGIN,
    )
    server.start()
    back = seconds_until_all_carry(ports, program, BACK_WITHIN + MARGIN)
    print(f"{TUNNELS} tunnels: all carry data after {first:.1f} s, and again after {back:.1f} s")

    assert not [line for line in server.log().splitlines() if any(w in line for w in REFUSED)]


def test_a_server_that_bears_two_at_a_time_has_to_refuse_few_of_thirty(site: Site) -> None:
    server = site.sshd(MaxStartups=SMALL, LogLevel="VERBOSE")
    service = site.service(echo)
    ports = [free_port() for _ in range(FEW)]
    program = site.program(
        *(
            tunnel_table(f"t{number}", server.port, f'local = "{port}:{service}"')
            for number, port in enumerate(ports)
        )
    )
    program.up()
    program.wait_until_up(within=BACK_WITHIN + MARGIN)

    assert 0 < refusals(server) < FEW / 2
    assert "the server closed one of" in program.log()
