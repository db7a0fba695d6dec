"""Imported tunnels as TOML text, each table with comments above it.

Comments contain untrusted text: it is reduced to one line of printable characters before it is
wrapped, so that it cannot end the comment.
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
    with_socket_paths,
)
from tunnelkeeper.core.text import printable
from tunnelkeeper.core.token_expansion import escape_percent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tunnelkeeper.importing.source_commands import ImportedTunnel

IMPORT_COMMENT = "# Imported from "
"""The start of the comments above an imported table."""

_WIDTH = 100
_MAX_COMMENT_LENGTH = 1000


def format_tunnel(tunnel: ImportedTunnel) -> str:
    """Return a table with its comments. The text ends with a newline."""
    comments = [format_comment(f"{IMPORT_COMMENT.removeprefix('# ')}{tunnel.origin}.")]
    comments += map(format_comment, tunnel.notes)
    return "".join([*comments, dumps({"tunnels": {tunnel.name: tunnel.table}})])


def format_tunnels(tunnels: Iterable[ImportedTunnel]) -> str:
    """Return all tables, separated by empty lines."""
    return "\n".join(map(format_tunnel, tunnels))


def format_comment(text: str) -> str:
    """Return a text as comment lines."""
    filled = textwrap.fill(
        printable(text, _MAX_COMMENT_LENGTH),
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{filled or '#'}\n"


def format_forward(forward: Forward) -> str:
    """Return a forward as the config file writes it, without a loopback listen address.

    The percent signs of socket paths are escaped, because the config file expands them.
    """
    escaped = with_socket_paths(forward, escape_percent)
    listen, target = escaped.listen, target_of(escaped)
    parts = [_format_listen(listen)]
    if target is not None:
        parts.append(str(target))
    return ":".join(parts)


def _format_listen(listen: Address) -> str:
    if isinstance(listen, TcpAddress) and listen.host == LOOPBACK:
        return str(listen.port)
    return str(listen)
