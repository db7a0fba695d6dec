"""Makes names for tunnels that come without one; each is valid in the config file, and new."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING

from tunnelkeeper.core.forward_spec import Forward, TcpAddress

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

LONGEST = 64
"""Characters of a name: config.value_parsers."""

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_OF_THE_PROGRAM = re.compile(r"^(?:autossh|ssh)[-_.@]+(?=.)|(?<=.)[-_.@]+(?:autossh|ssh)$")
_SAYS_NOTHING = frozenset({"autossh", "ssh", "ssh-tunnel", "sshtunnel", "tunnel", "tunnels"})


def name_for(called: str, host: str, forwards: Sequence[Forward]) -> str:
    """A name: what it was called where that says something, else by its host and its port."""
    name = _valid(_OF_THE_PROGRAM.sub("", called))
    return name if name and name.lower() not in _SAYS_NOTHING else name_by_way(host, forwards)


def name_by_way(host: str, forwards: Sequence[Forward]) -> str:
    """A name by the host's first label and, where there is one forward only, its port."""
    label = _valid(host if _is_address(host) else host.partition(".")[0]) or "tunnel"
    if len(forwards) == 1 and isinstance(listen := forwards[0].listen, TcpAddress) and listen.port:
        return _valid(f"{label[: LONGEST - 6]}-{listen.port}")
    return label


def unused(name: str, taken: Container[str]) -> str:
    """The name, or the first of name-2, name-3 and so on that is not taken."""
    number = 1
    found = name
    while found in taken:
        number += 1
        suffix = f"-{number}"
        found = name[: LONGEST - len(suffix)] + suffix
    return found


def _valid(text: str) -> str:
    """A text as a name, or nothing where nothing of it can be one."""
    return _NOT_IN_A_NAME.sub("-", text).strip("._-")[:LONGEST]


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
