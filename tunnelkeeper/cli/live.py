"""The status of the demo, kept fresh on the screen; a client like any other."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.live import Live

from tunnelkeeper.cli.status import drawn
from tunnelkeeper.control.client import Client
from tunnelkeeper.wording.tunnels import row

if TYPE_CHECKING:
    from pathlib import Path

REFRESH = 1.0
"""Seconds between two pictures."""


def watch(socket: Path) -> None:
    """Show the status until Ctrl-C."""
    with Live(auto_refresh=False) as live, Client(socket) as client:
        while True:
            now = datetime.now(UTC)
            live.update(drawn([row(tunnel, now) for tunnel in client.status().tunnels]))
            live.refresh()
            time.sleep(REFRESH)
