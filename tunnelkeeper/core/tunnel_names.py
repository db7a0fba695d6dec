"""Names for tunnels that are given none. Each is valid in the config file and not yet taken."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING

from tunnelkeeper.core.forward_spec import Forward, TcpAddress

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

MAX_NAME_LENGTH = 64
"""The longest name that config.value_parsers accepts, in characters."""

_INVALID_CHARACTERS = re.compile(r"[^A-Za-z0-9._-]+")
_PROGRAM_AFFIX = re.compile(r"^(?:autossh|ssh)[-_.@]+(?=.)|(?<=.)[-_.@]+(?:autossh|ssh)$")
_GENERIC_NAMES = frozenset({"autossh", "ssh", "ssh-tunnel", "sshtunnel", "tunnel", "tunnels"})


def make_name(preferred: str, host: str, forwards: Sequence[Forward]) -> str:
    """Return the preferred name unless it is generic, else a name from the host and the port."""
    name = _sanitize(_PROGRAM_AFFIX.sub("", preferred))
    return (
        name if name and name.lower() not in _GENERIC_NAMES else make_name_from_host(host, forwards)
    )


def make_name_from_host(host: str, forwards: Sequence[Forward]) -> str:
    """Return the host's first label, followed by the port if there is only one forward."""
    label = _sanitize(host if _is_address(host) else host.partition(".")[0]) or "tunnel"
    if len(forwards) == 1 and isinstance(listen := forwards[0].listen, TcpAddress) and listen.port:
        return _sanitize(f"{label[: MAX_NAME_LENGTH - 6]}-{listen.port}")
    return label


def make_unique(name: str, taken: Container[str]) -> str:
    """Return the name, or the first of name-2, name-3 and so on that is not taken."""
    number = 1
    candidate = name
    while candidate in taken:
        number += 1
        suffix = f"-{number}"
        candidate = name[: MAX_NAME_LENGTH - len(suffix)] + suffix
    return candidate


def _sanitize(text: str) -> str:
    """Return the text as a valid name; empty if no character of it is valid at either end."""
    return _INVALID_CHARACTERS.sub("-", text).strip("._-")[:MAX_NAME_LENGTH]


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
