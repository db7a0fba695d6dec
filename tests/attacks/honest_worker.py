"""Measures a tunnel from a process of its own: `python -m tests.attacks.honest_worker PORT`.

PORT is a local port behind which an echo service answers through the tunnel. Each line on standard
input ends a phase: the worker prints the round trips of that phase, in seconds, as a JSON list. It
exits at the end of its input, or with 1 as soon as its connection is lost.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

INTERVAL = 0.02
"""Seconds between two round trips."""

PATIENCE = 60.0
"""Seconds after which a round trip counts as a lost connection."""


def main() -> int:
    """Measure until standard input ends; return the exit code."""
    round_trips: list[float] = []
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), PATIENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            started = time.monotonic()
            connection.sendall(b"x")
            if not connection.recv(1):
                return 1
            round_trips.append(time.monotonic() - started)
            if select.select([sys.stdin], [], [], INTERVAL)[0]:
                if not sys.stdin.readline():
                    return 0
                print(json.dumps(round_trips), flush=True)
                round_trips.clear()


if __name__ == "__main__":
    sys.exit(main())
