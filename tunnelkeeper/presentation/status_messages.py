"""The messages below the table of `status`, wrapped for a terminal. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.presentation.text_layout import wrap_lines
from tunnelkeeper.presentation.tunnel_text import (
    client_failure_lines,
    failure_lines,
    format_forward,
    keepalive_lines,
)

if TYPE_CHECKING:
    from datetime import datetime

    from tunnelkeeper.core.snapshot import StatusSnapshot, TunnelSnapshot
    from tunnelkeeper.presentation.fitted_table import Line


def render_messages(snapshot: StatusSnapshot, now: datetime, cells: int | None) -> list[Line]:
    """Return the messages in the order of the table, and the one about a changed config file.

    cells: the width of the terminal, or None for one line per message.
    """
    lines: list[Line] = []
    for tunnel in snapshot.tunnels:
        for text in failure_lines(tunnel):
            lines += _render_message(tunnel, text, cells)
    for tunnel in snapshot.tunnels:
        for text in (*keepalive_lines(tunnel), *client_failure_lines(tunnel, now)):
            lines += _render_message(tunnel, text, cells)
    if snapshot.supervisor.config_changed:
        file = printable(snapshot.supervisor.config)
        text = f"{file} has changed; `tunnelkeeper reload` applies the changes"
        lines += [[("", line)] for line in wrap_lines([text], cells)]
    return lines


def _render_message(tunnel: TunnelSnapshot, text: str, cells: int | None) -> list[Line]:
    """Return the lines of a message that begins with the name and the state of a tunnel."""
    forwards = [format_forward(forward) for forward in tunnel.forwards]
    lines: list[Line] = [[("", line)] for line in wrap_lines([text], cells, forwards)]
    prefix = f"{tunnel.name}: {tunnel.state}: "
    first = "".join(part for _, part in lines[0])
    if first.startswith(prefix):
        lines[0] = [
            ("name", tunnel.name),
            ("", ": "),
            (f"state.{tunnel.state}", tunnel.state),
            ("", first[len(prefix) - 2 :]),
        ]
    return lines
