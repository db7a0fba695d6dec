"""Prints messages and their hints on standard error: wrapped at blanks if it is a terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from tunnelkeeper.core.message import Message
from tunnelkeeper.presentation.message_lines import wrap_message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tunnelkeeper.core.snapshot import TunnelSnapshot


def print_message(text: str, hint: str = "") -> None:
    """Print a message and its hint."""
    print_messages([Message(text, hint)])


def print_messages(messages: Iterable[Message]) -> None:
    """Print messages and their hints."""
    cells = _width()
    for message in messages:
        click.echo("\n".join(wrap_message(message, cells)), err=True)


def print_failures(tunnel: TunnelSnapshot) -> None:
    """Print why a tunnel is not up, or its progress."""
    from tunnelkeeper.presentation.tunnel_text import describe

    print_messages(describe(tunnel))


def _width() -> int | None:
    """Return the cells of a line on the terminal of standard error, or None without one."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or None
    except (OSError, ValueError):  # ValueError: a stream without a descriptor
        return None
