"""What `tunnelkeeper forward` shows while its tunnel lives: a status line, lines, or JSON.

A thread writes it, so that a terminal that is stopped (Ctrl-S) or a full pipe delays no tunnel.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec

from tunnelkeeper.core.first_connection import has_come_up
from tunnelkeeper.core.message import Message
from tunnelkeeper.core.questions import WAITS_FOR_ANSWER
from tunnelkeeper.net.line_sinks import stdout_sink
from tunnelkeeper.net.line_writer import LineWriter
from tunnelkeeper.presentation.formatting import parse_time, record_lines
from tunnelkeeper.presentation.forward_text import forward_lines, status_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tunnelkeeper.core.snapshot import LogRecord, TunnelSnapshot

_CLEAR_LINE = "\r\x1b[K"
_COLOURS = {"up": "green", "degraded": "yellow", "blocked": "red"}


class ForwardView:
    """A line for each record of the tunnel's log, as `tunnelkeeper logs` prints it.

    refresh_interval: seconds after which the caller shows the tunnel again; None: on changes only.
    """

    refresh_interval: float | None = None

    def __init__(self) -> None:
        sys.stdout.flush()
        self._out = LineWriter(stdout_sink(), None)

    def on_tunnel(self, tunnel: TunnelSnapshot) -> None:
        """Show a snapshot."""

    def on_record(self, record: LogRecord) -> None:
        """Show a record of the tunnel's log."""
        if record.level != "debug":
            self._out.write("".join(f"{line}\n" for line in record_lines(record)))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Write nothing while the body runs: a question is asked on the terminal."""
        with self._out.paused():
            yield

    def close(self) -> None:
        """Write the last lines."""
        self._out.close()


class JsonView(ForwardView):
    """A snapshot of the tunnel as a line of JSON for each change, as in `status --json`."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: object = None

    def on_tunnel(self, tunnel: TunnelSnapshot) -> None:
        """Print a snapshot, unless only its counters have changed."""
        forwards = [(each.listen, each.state, each.failure) for each in tunnel.forwards]
        change = (tunnel.state, tunnel.attempt, tunnel.failure, tunnel.ad_hoc, forwards)
        if change != self._shown:
            self._shown = change
            self._out.write(msgspec.json.encode(tunnel).decode() + "\n")

    def on_record(self, record: LogRecord) -> None:
        """Print nothing."""


class TerminalView(ForwardView):
    """A status line that is drawn again, and above it the log, with short times.

    asks: whether the questions of the tunnel are asked on this terminal.
    """

    refresh_interval = 1.0

    def __init__(self, *, asks: bool) -> None:
        super().__init__()
        self._asks = asks
        self._status = ""
        self._has_been_up = False
        self._is_paused = False

    def on_tunnel(self, tunnel: TunnelSnapshot) -> None:
        """Draw the status line, below the forwards when the tunnel has come up first."""
        if has_come_up(tunnel) and not self._has_been_up:
            self._has_been_up = True
            self._write_above([f"  {line}" for line in forward_lines(tunnel)])
        text = status_line(tunnel, datetime.now(UTC), has_been_up=self._has_been_up)
        self._status = _coloured(_cut(text), tunnel.state)
        self._draw()

    def on_record(self, record: LogRecord) -> None:
        """Print a record above the status line.

        An error before the tunnel was up ends the command, which prints it then. What the tunnel
        waits for is asked here already.
        """
        is_last_word = record.level == "error" and not self._has_been_up
        is_question = self._asks and record.message.startswith(WAITS_FOR_ANSWER)
        if record.level != "debug" and not (is_last_word or is_question):
            time = parse_time(record.at).astimezone().strftime("%H:%M:%S ")
            indent = " " * len(time)
            text, *hint = Message(record.message, record.hint).lines
            self._write_above(
                [
                    *_wrap(time + text, indent),
                    *(part for line in hint for part in _wrap(indent + line, f"{indent}  ")),
                ]
            )

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Remove the status line while a question is asked."""
        self._is_paused = True  # another thread may draw
        self._out.write(_CLEAR_LINE)
        try:
            with self._out.paused():
                yield
        finally:
            self._is_paused = False

    def close(self) -> None:
        """Remove the status line, and write the last lines."""
        self._out.write(_CLEAR_LINE)
        super().close()

    def _write_above(self, lines: list[str]) -> None:
        text = "".join(f"{line}\n" for line in lines)
        self._out.write(f"{_CLEAR_LINE}{text}{'' if self._is_paused else self._status}")

    def _draw(self) -> None:
        if not self._is_paused:  # else each second would wait to be written
            self._out.write(f"{_CLEAR_LINE}{self._status}")


def view_for(environment: Mapping[str, str], *, as_json: bool, asks: bool) -> ForwardView:
    """Return the view for standard output. asks: whether questions are asked on the terminal."""
    if as_json:
        return JsonView()
    if sys.stdout.isatty() and environment.get("TERM", "dumb") != "dumb":
        return TerminalView(asks=asks)
    return ForwardView()


def _wrap(text: str, indent: str) -> list[str]:
    """Return a text as lines that fit the terminal. indent: of those after the first."""
    width = shutil.get_terminal_size().columns
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False)


def _cut(text: str) -> str:
    """Return as much of a line as fits the terminal, without its last cell, which may wrap."""
    from rich.cells import set_cell_size

    return set_cell_size(text, shutil.get_terminal_size().columns - 1).rstrip()


def _coloured(text: str, state: str) -> str:
    """Return a status line with its state in a colour, unless NO_COLOR is set."""
    if os.environ.get("NO_COLOR"):
        return text
    head, separator, rest = text.partition(" | ")
    return click.style(head, fg=_COLOURS.get(state, "yellow")) + separator + rest
