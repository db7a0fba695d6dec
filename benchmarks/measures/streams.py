"""Throughput and client CPU time of one stream through a forward, up and down."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Literal

from benchmarks.accounting import cpu_seconds
from benchmarks.clients import connect_via_socks, connected, pull, push
from benchmarks.contenders import opened
from benchmarks.processes import free_ports
from benchmarks.rows import Contender
from benchmarks.services import open_services
from benchmarks.slow_link import slow_link
from benchmarks.tunnels import Forward, Tunnel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from socket import socket

    from benchmarks.lab import Lab
    from benchmarks.measures import Figures, Take
    from benchmarks.scale import Scale
    from benchmarks.services import Services

Kind = Literal["local", "remote", "socks"]

ROUND_TRIP = 0.1
"""The round-trip time of the slow link in seconds."""


@contextmanager
def streams(
    lab: Lab, scale: Scale, name: Contender, *, kind: Kind = "local", jump: bool = False
) -> Iterator[Take]:
    """Measure both directions, one after the other, through one connection.

    Figures: up and down in MB/s, cpu-up and cpu-down in seconds per GB.
    """
    with open_services() as services:
        forwards = _forwards(kind, services)
        with opened(lab, name, [Tunnel(forwards, lab.port, jump)]) as client:

            def dial(service: int) -> socket:
                if kind == "socks":
                    return connect_via_socks(client.entry(forwards[0]), service)
                [forward] = [each for each in forwards if each.connect == service]
                return connected(client.entry(forward))

            def take() -> Figures:
                pids = client.pids()
                before = cpu_seconds(pids)
                with dial(services.sink) as stream:
                    up = push(stream, scale.stream)
                between = cpu_seconds(pids)
                with dial(services.source) as stream:
                    down = pull(stream, scale.stream)
                after = cpu_seconds(pids)
                return {
                    "up": up.rate,
                    "down": down.rate,
                    "cpu-up": (between - before) / up.size * 1e9,
                    "cpu-down": (after - between) / down.size * 1e9,
                }

            yield take


@contextmanager
def over_slow_link(lab: Lab, scale: Scale, name: Contender) -> Iterator[Take]:
    """Measure a download through a slow link. Figure: down in MB/s."""
    with open_services() as services:
        [listen] = free_ports(1)
        forward = Forward("local", listen, services.source)
        alone = name is Contender.NO_TUNNEL  # measures the link itself
        with (
            slow_link(services.source if alone else lab.port, ROUND_TRIP) as far,
            opened(lab, name, [Tunnel((forward,), far)]) as client,
        ):

            def take() -> Figures:
                with connected(far if alone else client.entry(forward)) as stream:
                    return {"down": pull(stream, scale.slow_stream).rate}

            yield take


remote = partial(streams, kind="remote")
socks = partial(streams, kind="socks")
through_jump_host = partial(streams, jump=True)


def _forwards(kind: Kind, services: Services) -> tuple[Forward, ...]:
    if kind == "socks":
        return (Forward("socks", free_ports(1)[0]),)
    targets = (services.sink, services.source)
    return tuple(
        Forward(kind, listen, target) for listen, target in zip(free_ports(2), targets, strict=True)
    )
