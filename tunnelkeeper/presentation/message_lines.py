"""The lines of a message and its hint, wrapped at blanks for a terminal. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tunnelkeeper.core.message import HINT_LABEL
from tunnelkeeper.presentation.text_layout import wrap_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.message import Message

_COMMAND = re.compile(
    r"(?:[A-Z_]+=[^ ]+ )*"
    r"(?:sudo|tunnelkeeper|ssh(?:-keygen|-add|-copy-id)?|systemctl|loginctl|journalctl|chmod|chown)"
    r" [^ ]"
)
"""How hints begin that are a command. It stays on one line, so that it can be pasted."""


def is_command(hint: str) -> bool:
    """Return whether a hint is a command to paste, not a sentence."""
    return _COMMAND.match(hint) is not None


def wrap_hint(label: str, hint: str, cells: int | None) -> list[str]:
    """Return the lines of a hint behind its label. Further lines begin below the hint.

    cells: the width of the terminal, or None for one line.
    """
    if is_command(hint):
        return [label + hint]
    return wrap_lines([label + hint], cells, indent=len(label))


def wrap_message(message: Message, cells: int | None, tokens: Sequence[str] = ()) -> list[str]:
    """Return the lines of a message, and below them those of its hint.

    cells: the width of the terminal, or None for a line each. tokens: parts that are not broken.
    """
    text, *hints = message.lines
    lines = wrap_lines(text.split("\n"), cells, tokens)
    for hint in hints:
        lines += wrap_hint(HINT_LABEL, hint.removeprefix(HINT_LABEL), cells)
    return lines
