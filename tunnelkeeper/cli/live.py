"""The table of `status`, kept fresh where it stands on the terminal; a client like any other."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from tunnelkeeper.cli import status_table
from tunnelkeeper.presentation.tunnel_text import reasons, row

if TYPE_CHECKING:
    from tunnelkeeper.control.client import Client
    from tunnelkeeper.core.snapshot import TunnelSnapshot

REFRESH = 1.0
"""Seconds between two pictures."""


def watch(client: Client, names: list[str] | None) -> list[TunnelSnapshot]:
    """Show these tunnels until Ctrl-C, None for all; the last picture stays and is returned.

    Raises NoSupervisor when the supervisor ends, and what a call raises.
    """
    tunnels: list[TunnelSnapshot] = []
    with Live(auto_refresh=False, console=Console(highlight=False)) as live:
        try:
            while True:
                tunnels = client.status(names).tunnels
                live.update(_picture(tunnels), refresh=True)
                time.sleep(REFRESH)
        except KeyboardInterrupt:
            return tunnels


def _picture(tunnels: list[TunnelSnapshot]) -> Group:
    now = datetime.now(UTC)
    shown = status_table.of_tunnels(row(tunnel, now) for tunnel in tunnels)
    why = [Text(line) for tunnel in tunnels for line in reasons(tunnel)]
    return Group(shown, *([Text(""), *why] if why else []))
