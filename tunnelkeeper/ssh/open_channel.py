"""Opens channels by callbacks, without a task or a future per channel.

asyncssh opens a channel in a coroutine that waits for the reply, and starts to read in a task of
its own. That costs four iterations of the event loop for every forwarded connection. Here the
confirmation creates the session, and data that follows it in the same read is delivered at once.
This rests on asyncssh 2.24.1; with another version its coroutine is used. RFC 4254 section 5.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncssh
from asyncssh.packet import String, UInt32

from tunnelkeeper.core.forward_spec import Address, TcpAddress, UnixAddress
from tunnelkeeper.ssh.channels import CHANNEL_SETTINGS, OnError, OnOpen, OpeningChannel
from tunnelkeeper.ssh.fastpath.connection import ENABLED

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tunnelkeeper.ssh.transport import ClientTransport


def open_channel(
    transport: ClientTransport,
    target: Address,
    origin: tuple[str, int],
    on_open: OnOpen,
    on_error: OnError,
) -> None:
    """Open a channel to a target seen from the server. on_open or on_error is called, once."""
    if not ENABLED:
        transport.start_task(
            _await_open(_open_with_asyncssh(transport, target, origin, on_open), on_error)
        )
        return
    try:
        match target:
            case TcpAddress(host=host, port=port):
                channel: object = transport.create_tcp_channel(*CHANNEL_SETTINGS)
                kind, details = b"direct-tcpip", [String(host), UInt32(port)]
            case UnixAddress(path=path):
                channel = transport.create_unix_channel(*CHANNEL_SETTINGS)
                # PROTOCOL section 2.4 of OpenSSH has "reserved" fields where TCP has the origin.
                kind, details = b"direct-streamlocal@openssh.com", [String(path)]
                origin = ("", 0)
    except asyncssh.ChannelOpenError as error:  # the connection has ended
        on_error(error)
        return
    assert isinstance(channel, OpeningChannel)  # noqa: S101
    channel.send_open(on_open, on_error, kind, *details, String(origin[0]), UInt32(origin[1]))


def _open_with_asyncssh(
    transport: ClientTransport, target: Address, origin: tuple[str, int], on_open: OnOpen
) -> Awaitable[object]:
    match target:
        case TcpAddress(host=host, port=port):
            return transport.create_connection(on_open, host, port, *origin)
        case UnixAddress(path=path):
            return transport.create_unix_connection(on_open, path)


async def _await_open(opening: Awaitable[object], on_error: OnError) -> None:
    try:
        await opening
    except (OSError, asyncssh.Error, AssertionError) as error:
        on_error(error)
