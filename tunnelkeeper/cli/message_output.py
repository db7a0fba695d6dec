"""Prints messages and their hints on standard error: wrapped at blanks if it is a terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from tunnelkeeper.cli.json_output import print_text
from tunnelkeeper.cli.styled_lines import terminal_width
from tunnelkeeper.core.message import Message
from tunnelkeeper.presentation.message_lines import wrap_message
from tunnelkeeper.presentation.text_layout import wrap_lines

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


def print_sentence(text: str) -> None:
    """Print a result on standard output, wrapped on a terminal, unless JSON is requested."""
    print_text("\n".join(wrap_lines([text], terminal_width())))


def _width() -> int | None:
    """Return the cells of a line on the terminal of standard error, or None without one."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or None
    except (OSError, ValueError):  # ValueError: a stream without a descriptor
        return None
