"""The addresses of forwards for the clipboard, and the sequence that puts a text there. Pure."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.presentation.tunnel_text import format_forward

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import ForwardSnapshot, TunnelSnapshot

MAX_ADDRESS = 1000
"""Characters of an address that is copied. The path of a socket has at most 107."""

_EVERY_ADDRESS = frozenset({"", "*", "0.0.0.0", "[::]"})  # noqa: S104
"""Hosts of a listener that accepts clients on every address. No client connects to these."""


@dataclass(frozen=True, slots=True)
class CopiedForward:
    """The forward whose address was copied last. The next key press copies that after it."""

    tunnel: str
    index: int


@dataclass(frozen=True, slots=True)
class Copy:
    """The address of a forward for the clipboard, and what to tell the user. None: not known."""

    forward: CopiedForward
    address: str | None
    message: str
    hint: str


def copy_next(tunnel: TunnelSnapshot, last: CopiedForward | None) -> Copy | None:
    """Return the copy of the first forward, or of that after the last. None without forwards."""
    count = len(tunnel.forwards)
    if not count:
        return None
    is_same = last is not None and last.tunnel == tunnel.name
    index = (last.index + 1) % count if last is not None and is_same else 0
    forward = tunnel.forwards[index]
    hint = f"y again: forward {(index + 1) % count + 1} of {count}" if count > 1 else ""
    address = client_address(forward, tunnel)
    message = f"the port of {format_forward(forward)} is not known yet"
    if address is not None:
        message = _describe_copy(forward, tunnel, address)
    return Copy(CopiedForward(tunnel.name, index), address, message, hint)


def client_address(forward: ForwardSnapshot, tunnel: TunnelSnapshot) -> str | None:
    """Return the address that clients of a forward connect to, or None if it is not known yet.

    Clients of a remote forward are at the server. A path of a socket has no brackets.
    """
    listen = printable(forward.listen, MAX_ADDRESS)
    host, _, port = listen.rpartition(":")
    if port == "0":
        return None  # the server chooses the port
    if host in _EVERY_ADDRESS and port.isdigit():
        name = server_name(tunnel) if forward.kind == "remote" else "localhost"
        return f"{name}:{port}"
    if listen.startswith("[") and listen.endswith("]"):
        return listen[1:-1]
    return listen


def server_name(tunnel: TunnelSnapshot) -> str:
    """Return the host of a tunnel without its user and port."""
    host = printable(tunnel.host, MAX_ADDRESS).rpartition("@")[2]
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _describe_copy(forward: ForwardSnapshot, tunnel: TunnelSnapshot, address: str) -> str:
    """Return what was copied: the address, where it is, and what it leads to."""
    where = f" at {server_name(tunnel)}" if forward.kind == "remote" else ""
    target = "a SOCKS proxy" if forward.connect is None else f"which leads to {forward.connect}"
    return f"copied {address}{where}, {target}"


def osc_52(text: str) -> str:
    """Return the sequence with which a terminal puts a text on the clipboard (xterm's OSC 52).

    The text is in base64, so no character of it can end the sequence.
    """
    return f"\x1b]52;c;{b64encode(text.encode()).decode()}\a"
