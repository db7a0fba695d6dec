"""Writes imported tunnels as TOML, each with comments above its table.

Comments hold words from outside: each is made one line of printable characters before it is
broken, so that nothing in it ends the comment.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from tomli_w import dumps

from tunnelkeeper.core.forward_spec import (
    LOOPBACK,
    Address,
    Forward,
    TcpAddress,
    target_of,
)
from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tunnelkeeper.importing.source_commands import ImportedTunnel

MARK = "# Imported from "
"""How the comments above an imported table begin."""

_WIDTH = 100
_LONGEST_COMMENT = 1000


def toml_of(tunnel: ImportedTunnel) -> str:
    """A table with its comments; it ends with a line's end."""
    comments = [comment(f"{MARK.removeprefix('# ')}{tunnel.origin}.")]
    comments += map(comment, tunnel.remarks)
    return "".join([*comments, dumps({"tunnels": {tunnel.name: tunnel.table}})])


def toml_of_all(tunnels: Iterable[ImportedTunnel]) -> str:
    """All tables, with an empty line between two."""
    return "\n".join(map(toml_of, tunnels))


def comment(text: str) -> str:
    """A text as lines of comment."""
    filled = textwrap.fill(
        printable(text, _LONGEST_COMMENT),
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{filled or '#'}\n"


def spec_of(forward: Forward) -> str:
    """A forward as the config file has it; the loopback is not written."""
    listen, target = forward.listen, target_of(forward)
    ends = [_listen(listen)]
    if target is not None:
        ends.append(str(target))
    return ":".join(ends)


def _listen(listen: Address) -> str:
    if isinstance(listen, TcpAddress) and listen.host == LOOPBACK:
        return str(listen.port)
    return str(listen)
