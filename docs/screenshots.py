#!/usr/bin/env python3
"""The screenshot of the dashboard in README, taken from a real run in tmux.

    python docs/screenshots.py            needs tmux; takes about a minute

It runs the demo with three more tunnels (one failing, one degraded, one stopped), sends data
through some of them, and writes docs/dashboard.svg.
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
from tunnelkeeper.demo.probe import ProbeError, fetch_greeting
from tunnelkeeper.demo.runner import running_demo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.demo.files import DemoFiles

COLUMNS, ROWS = 120, 35
TARGET = Path(__file__).parent / "dashboard.svg"
HISTORY = 45.0
"""Seconds of traffic in the screenshot."""

REDRAW_TIME = 3.0
"""Seconds to wait after a key, longer than any redraw."""

EXTRA_TUNNELS = """
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
    """Take the screenshot and write it."""
    with running_demo() as (files, _), taken_port() as taken, terminal(files) as tmux:
        add_tunnels(files, taken)
        ended = threading.Event()
        loads = [threading.Thread(target=load, args=(files, n, ended)) for n in (0, 2, 3)]
        for each in loads:
            each.start()
        try:
            time.sleep(HISTORY)
            for key in ("Down", "Down", "Down", "Enter"):
                subprocess.run([*tmux, "send-keys", key], check=True)
            time.sleep(REDRAW_TIME)
            capture = [*tmux, "capture-pane", "-N", "-e", "-p"]
            captured = subprocess.run(capture, check=True, capture_output=True, text=True).stdout
        finally:
            ended.set()
            for each in loads:
                each.join()
    TARGET.write_text(svg(parse(captured), COLUMNS), encoding="utf-8")


def add_tunnels(files: DemoFiles, taken: int) -> None:
    """Add the tunnels to the demo's config file and reload it."""
    free, other, third = (files.ports.local + offset for offset in (1, 2, 3))
    extra = EXTRA_TUNNELS.format(taken=taken, free=free, other=other, third=third)
    with files.config_path.open("a", encoding="utf-8") as config:
        config.write(extra)
    with Client(files.socket_path) as client:
        client.reload()


def load(files: DemoFiles, number: int, ended: threading.Event) -> None:
    """Send data through a tunnel in bursts until the event is set."""
    rng = random.Random(number)  # noqa: S311  not for cryptography
    entry = files.tunnels[number].entry_point
    while not ended.is_set():
        with suppress(ProbeError):
            for _ in range(rng.randrange(1, 400)):
                fetch_greeting(entry)
        ended.wait(rng.uniform(0.0, 0.8))


@contextmanager
def taken_port() -> Iterator[int]:
    """Yield a port that is already in use."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield int(listening.getsockname()[1])


@contextmanager
def terminal(files: DemoFiles) -> Iterator[list[str]]:
    """Run the dashboard in tmux; yield the start of a tmux command line for that server."""
    with tempfile.TemporaryDirectory(prefix="tk-") as folder:
        tmux = ["tmux", "-S", str(Path(folder) / "tmux"), "-f", os.devnull]
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        options = ["--socket", str(files.socket_path)]
        program = [sys.executable, "-m", "tunnelkeeper", *options, "dashboard"]
        line = f"LC_ALL=C.UTF-8 {shlex.join(program)}"
        subprocess.run([*tmux, "new-session", "-d", *size, line], check=True)
        try:
            yield tmux
        finally:
            subprocess.run([*tmux, "kill-server"], check=False)


if __name__ == "__main__":
    main()
