"""The local terminal of a remote command: modes, size and raw mode. It transfers no data."""

from __future__ import annotations

import os
import termios
import tty
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tunnelkeeper.ssh.remote_command import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_SIZE = (80, 24)

_CHARACTERS = {
    1: "VINTR",
    2: "VQUIT",
    3: "VERASE",
    4: "VKILL",
    5: "VEOF",
    6: "VEOL",
    7: "VEOL2",
    8: "VSTART",
    9: "VSTOP",
    10: "VSUSP",
    12: "VREPRINT",
    13: "VWERASE",
    14: "VLNEXT",
    18: "VDISCARD",
}
_FLAGS = (
    {
        30: "IGNPAR",
        31: "PARMRK",
        32: "INPCK",
        33: "ISTRIP",
        34: "INLCR",
        35: "IGNCR",
        36: "ICRNL",
        38: "IXON",
        39: "IXANY",
        40: "IXOFF",
        41: "IMAXBEL",
    },
    {70: "OPOST", 72: "ONLCR", 73: "OCRNL", 74: "ONOCR", 75: "ONLRET"},
    {90: "CS7", 91: "CS8", 92: "PARENB", 93: "PARODD"},
    {
        50: "ISIG",
        51: "ICANON",
        53: "ECHO",
        54: "ECHOE",
        55: "ECHOK",
        56: "ECHONL",
        57: "NOFLSH",
        58: "TOSTOP",
        59: "IEXTEN",
        60: "ECHOCTL",
        61: "ECHOKE",
    },
)
"""The modes of RFC 4254 section 8 by number, with their names in termios(3): the special
characters, then the input, output, control and local flags in the order of tcgetattr(3)."""
_INPUT_SPEED, _OUTPUT_SPEED = 128, 129
_DEFAULT_SPEED = 38400
_DISABLED = 255
"""The value of a disabled special character: RFC 4254 section 8."""


def describe(descriptor: int, name: str) -> Terminal:
    """Return the terminal to request from the server. Without one, use defaults (ssh -tt)."""
    columns, lines = size(descriptor)
    return Terminal(name, columns, lines, _modes(descriptor))


def size(descriptor: int) -> tuple[int, int]:
    """Return the columns and lines of a terminal."""
    try:
        size = os.get_terminal_size(descriptor)
    except OSError:
        return DEFAULT_SIZE
    return (size.columns or DEFAULT_SIZE[0], size.lines or DEFAULT_SIZE[1])


@contextmanager
def raw(descriptor: int) -> Iterator[None]:
    """Set the terminal to raw mode, and restore it on exit. Do nothing without a terminal."""
    try:
        before = termios.tcgetattr(descriptor)
    except termios.error:
        yield
        return
    tty.setraw(descriptor, termios.TCSANOW)
    try:
        yield
    finally:
        with suppress(termios.error):  # the terminal hung up
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _modes(descriptor: int) -> dict[int, int]:
    try:
        *flags, _in_speed, _out_speed, characters = termios.tcgetattr(descriptor)
    except termios.error:
        return {}
    modes: dict[int, int] = {}
    for mode, name in _CHARACTERS.items():
        index = getattr(termios, name, None)
        if index is not None:
            character = characters[index]
            value = character[0] if isinstance(character, bytes) else int(character)
            modes[mode] = value or _DISABLED
    for group, bits in zip(_FLAGS, flags, strict=True):
        for mode, name in group.items():
            bit = getattr(termios, name, 0)
            modes[mode] = int(bool(bit) and bits & bit == bit)
    modes[_INPUT_SPEED] = modes[_OUTPUT_SPEED] = _DEFAULT_SPEED
    return modes
