#!/usr/bin/env python3
"""Takes the picture of the dashboard that README shows: from a real run, in tmux.

    python docs/screenshots.py            needs tmux; takes about a minute

It runs the demo with three tunnels more (one that is broken, one that is half broken, one that
nobody wants), sends data through some, and writes docs/dashboard.svg.
"""

from __future__ import annotations

import os
import random
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from docs.terminal_svg import parse, svg
from tunnelkeeper.control.client import Client
from tunnelkeeper.demo.play import staged
from tunnelkeeper.demo.probe import ProbeError, greet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.demo.stage import Stage

COLUMNS, ROWS = 120, 35
TARGET = Path(__file__).parent / "dashboard.svg"
HISTORY = 45.0
"""Seconds of traffic in the picture."""

SEEN = 3.0
"""Seconds after a key in which the picture is certainly there."""

MORE = """
[tunnels.broken]
host = "127.0.0.1:1"
socks = "127.0.0.1:{free}"
groups = ["work"]

[tunnels.half]
host = "relay"
local = ["127.0.0.1:{taken}:127.0.0.1:80"]
socks = "127.0.0.1:{other}"

[tunnels.spare]
host = "relay"
socks = "127.0.0.1:{third}"
autostart = false
"""


def main() -> None:
    """Write the picture."""
    with staged() as (stage, _), taken_port() as taken, terminal(stage) as tmux:
        add_tunnels(stage, taken)
        ended = threading.Event()
        loads = [threading.Thread(target=load, args=(stage, n, ended)) for n in (0, 2, 3)]
        for each in loads:
            each.start()
        try:
            time.sleep(HISTORY)
            for key in ("Down", "Down", "Down", "Enter"):
                subprocess.run([*tmux, "send-keys", key], check=True)
            time.sleep(SEEN)
            capture = [*tmux, "capture-pane", "-N", "-e", "-p"]
            captured = subprocess.run(capture, check=True, capture_output=True, text=True).stdout
        finally:
            ended.set()
            for each in loads:
                each.join()
    TARGET.write_text(svg(parse(captured), COLUMNS), encoding="utf-8")


def add_tunnels(stage: Stage, taken: int) -> None:
    """Write them into the demo's config file and have it read again."""
    free, other, third = (stage.ports.local + offset for offset in (1, 2, 3))
    more = MORE.format(taken=taken, free=free, other=other, third=third)
    stage.config.write_text(stage.config.read_text(encoding="utf-8") + more, encoding="utf-8")
    with Client(stage.socket) as client:
        client.reload()


def load(stage: Stage, number: int, ended: threading.Event) -> None:
    """Send data through one of the tunnels, in waves, until told to end."""
    chance = random.Random(number)  # noqa: S311  a picture, not a secret
    entry = stage.acts[number].entry
    while not ended.is_set():
        with suppress(ProbeError):
            for _ in range(chance.randrange(1, 400)):
                greet(entry)
        ended.wait(chance.uniform(0.0, 0.8))


@contextmanager
def taken_port() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield int(listening.getsockname()[1])


@contextmanager
def terminal(stage: Stage) -> Iterator[list[str]]:
    """The dashboard in tmux; the beginning of a tmux command line for its window."""
    with tempfile.TemporaryDirectory(prefix="tk-") as folder:
        tmux = ["tmux", "-S", str(Path(folder) / "tmux"), "-f", os.devnull]
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        program = [sys.executable, "-m", "tunnelkeeper", "--socket", str(stage.socket), "dashboard"]
        line = f"LC_ALL=C.UTF-8 {shlex.join(program)}"
        subprocess.run([*tmux, "new-session", "-d", *size, line], check=True)
        try:
            yield tmux
        finally:
            subprocess.run([*tmux, "kill-server"], check=False)


if __name__ == "__main__":
    main()
