"""Opening a channel by callbacks: no task and no future stand between a client and its channel.

asyncssh opens a channel in a coroutine that waits for the answer, and begins to read it in a task
of its own: four turns of the loop for every forwarded connection. Here the confirmation itself
makes the session, and what follows it in the same read is delivered at once. Where asyncssh's
inside is not the tested one, its coroutine is used. RFC 4254 section 5.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncssh
from asyncssh.packet import String, UInt32

from tunnelkeeper.core.forward_spec import Address, TcpAddress, UnixAddress
from tunnelkeeper.ssh.channels import Make, OpeningChannel, Refused
from tunnelkeeper.ssh.fastpath.connection import ENABLED

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tunnelkeeper.ssh.transport import ClientTransport

FIRST_WINDOW = 2 * 1024 * 1024
"""Bytes that a peer may send before it needs credit: as ssh and asyncssh have it."""

LARGEST_PACKET = 32 * 1024
"""Bytes of data in one packet (RFC 4253 section 6.1)."""

NEW_CHANNEL = None, "strict", FIRST_WINDOW, LARGEST_PACKET
"""Bytes, not text, in both directions."""


def open_channel(
    transport: ClientTransport,
    target: Address,
    origin: tuple[str, int],
    make: Make,
    refused: Refused,
) -> None:
    """Open a channel to a target seen from the server: make or refused is called, once."""
    if not ENABLED:
        transport.open_in_own_task(_open(_coroutine(transport, target, origin, make), refused))
        return
    try:
        match target:
            case TcpAddress(host=host, port=port):
                channel: object = transport.create_tcp_channel(*NEW_CHANNEL)
                kind, details = b"direct-tcpip", [String(host), UInt32(port)]
            case UnixAddress(path=path):
                channel = transport.create_unix_channel(*NEW_CHANNEL)
                # PROTOCOL section 2.4 of OpenSSH has "reserved" fields where TCP has the origin.
                kind, details = b"direct-streamlocal@openssh.com", [String(path)]
                origin = ("", 0)
    except asyncssh.ChannelOpenError as error:  # the connection has ended
        refused(error)
        return
    assert isinstance(channel, OpeningChannel)  # noqa: S101
    channel.ask(make, refused, kind, *details, String(origin[0]), UInt32(origin[1]))


def _coroutine(
    transport: ClientTransport, target: Address, origin: tuple[str, int], make: Make
) -> Awaitable[object]:
    match target:
        case TcpAddress(host=host, port=port):
            return transport.create_connection(make, host, port, *origin)
        case UnixAddress(path=path):
            return transport.create_unix_connection(make, path)


async def _open(opening: Awaitable[object], refused: Refused) -> None:
    try:
        await opening
    except (OSError, asyncssh.Error, AssertionError) as error:
        refused(error)
