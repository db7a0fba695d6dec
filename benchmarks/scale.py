"""The sizes of a full run and of a quick run; no code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of all measures; durations are seconds."""

    rounds: int
    stream: float  # one transfer
    slow_stream: float  # one transfer over the slow link, including slow start
    pings: int
    connecting: float  # opening connections, once for each concurrency
    busy: float  # round trips beside a bulk transfer
    narrow: float  # the same over a narrow link
    memory_rounds: int
    memory_tunnels: int
    startup_tunnels: int
    channels: int
    stuck: float  # without reading
    early_megabytes: int
    churn: int
    idle_tunnels: int
    idle: float


FULL = Scale(
    rounds=5,
    stream=2.0,
    slow_stream=10.0,
    pings=10_000,
    connecting=2.0,
    busy=3.0,
    narrow=6.0,
    memory_rounds=1,  # it varies by less than 1 %, and a thousand pairs take a minute
    memory_tunnels=1000,
    startup_tunnels=200,
    channels=5000,
    stuck=20.0,
    early_megabytes=500,
    churn=20_000,
    idle_tunnels=1000,
    idle=60.0,
)

QUICK = Scale(
    rounds=3,
    stream=0.5,
    slow_stream=2.5,
    pings=2000,
    connecting=0.5,
    busy=0.7,
    narrow=2.5,
    memory_rounds=1,
    memory_tunnels=100,
    startup_tunnels=40,
    channels=1000,
    stuck=2.0,
    early_megabytes=500,
    churn=3000,
    idle_tunnels=100,
    idle=15.0,  # one keepalive interval
)
