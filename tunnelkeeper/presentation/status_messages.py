"""The messages below the table of `status`, wrapped for a terminal. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.message import HINT_LABEL, Message
from tunnelkeeper.core.text import printable
from tunnelkeeper.presentation.forward_text import format_ad_hoc
from tunnelkeeper.presentation.message_lines import wrap_hint
from tunnelkeeper.presentation.text_layout import wrap_lines
from tunnelkeeper.presentation.tunnel_text import (
    client_failure_lines,
    failure_texts,
    format_forward,
    keepalive_lines,
    unused_timeout_lines,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tunnelkeeper.core.snapshot import StatusSnapshot, TunnelSnapshot
    from tunnelkeeper.presentation.fitted_table import Line
    from tunnelkeeper.presentation.tunnel_text import FailureText


def render_messages(snapshot: StatusSnapshot, now: datetime, cells: int | None) -> list[Line]:
    """Return the messages about tunnels, then which are ad-hoc, and whether the file has changed.

    cells: the width of the terminal, or None for one line per message and hint.
    """
    lines: list[Line] = []
    for tunnel in snapshot.tunnels:
        for failure in failure_texts(tunnel):
            lines += _render_failure(failure, tunnel, cells)
    for tunnel in snapshot.tunnels:
        notes = [*keepalive_lines(tunnel), *unused_timeout_lines(tunnel)]
        texts = [*notes, *client_failure_lines(tunnel, now)]
        lines += [[("", line)] for line in wrap_lines(texts, cells, _forwards(tunnel))]
    if marks := [f"{t.name}: {text}" for t in snapshot.tunnels if (text := format_ad_hoc(t, now))]:
        lines += [[("", line)] for line in wrap_lines([printable("; ".join(marks), 10_000)], cells)]
    if snapshot.supervisor.config_changed:
        text = f"{printable(snapshot.supervisor.config)} has changed since the supervisor read it"
        lines += render_message(Message(text, "tunnelkeeper reload"), cells)
    return lines


def render_message(message: Message, cells: int | None, tokens: Sequence[str] = ()) -> list[Line]:
    """Return the lines of a message and its hint. tokens: parts that are not broken."""
    lines: list[Line] = [[("", line)] for line in wrap_lines([message.text], cells, tokens)]
    if message.hint:
        first, *rest = wrap_hint(HINT_LABEL, message.hint, cells)
        label = HINT_LABEL.rstrip()
        lines += [[("hint", label), ("", first[len(label) :])], *([("", line)] for line in rest)]
    return lines


def _render_failure(failure: FailureText, tunnel: TunnelSnapshot, cells: int | None) -> list[Line]:
    """Return the lines of a failure, with the name and the state in their styles."""
    lines = render_message(failure.message, cells, _forwards(tunnel))
    [(_, first)] = lines[0]
    prefix = f"{failure.name}: {failure.state}"
    if first.startswith(prefix):
        style = "state.backoff" if tunnel.state == "up" else f"state.{tunnel.state}"
        state = (style, failure.state)
        lines[0] = [("name", failure.name), ("", ": "), state, ("", first[len(prefix) :])]
    return lines


def _forwards(tunnel: TunnelSnapshot) -> list[str]:
    return [format_forward(forward) for forward in tunnel.forwards]
