"""Channels whose data is not read: by a target, or by the client that holds a name."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import asyncssh

from tests.attacks.attack import Attack
from tests.attacks.victim import HOST

if TYPE_CHECKING:
    from tests.attacks.victim import Victim

CONNECTIONS = 4
CHANNELS = 150
"""Channels of each connection: together more than the memory that the victim is given."""

DATA = 256 * 1024
"""Bytes that are sent into each channel."""

MEMORY = 48 * 1024 * 1024
"""Bytes that the victim gives to all clients."""

SETTINGS = {"limits": {"memory": MEMORY, "memory_per_key": MEMORY // 2}, "names": ["hole"]}


class StuckSession(asyncssh.SSHTCPSession[bytes]):
    """A session that reads one packet and no more."""

    def connection_made(self, chan: Any) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: Any) -> None:
        # Not in connection_made: asyncssh would resume a channel that the peer opens.
        self._channel.pause_reading()


def stuck_listener() -> socket.socket:
    """Return a listening socket whose clients are never read.

    The kernel of the victim must buffer little: what it holds is not in the victim's own memory.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    listener.bind((HOST, 0))
    listener.listen(CONNECTIONS * CHANNELS)
    return listener


async def fill_names_that_are_not_read(victim: Victim) -> int:
    """Fill channels from one connection of a key to a name that another of its connections holds.

    Return how many channels the relay refused.
    """
    refused = 0
    async with victim.attacker() as holder:
        await holder.create_server(lambda *_: StuckSession(), "hole", 1, window=2**15)
        for _ in range(CONNECTIONS):
            async with victim.attacker() as connection:
                refused += await _fill(connection, "hole", 1)
    return refused


async def fill_targets_that_do_not_read(victim: Victim, port: int) -> int:
    """Fill channels to a port that is never read. Return how many channels the relay refused."""
    connections = [victim.attacker() for _ in range(CONNECTIONS)]
    entered = [await each.__aenter__() for each in connections]
    refused = sum([await _fill(each, HOST, port) for each in entered])
    for each in connections:
        await each.__aexit__(None, None, None)
    return refused


async def _fill(connection: asyncssh.SSHClientConnection, host: str, port: int) -> int:
    data, refused = bytes(DATA), 0
    for _ in range(CHANNELS):
        try:
            channel, _session = await connection.create_connection(StuckSession, host, port)
        except (asyncssh.Error, OSError):
            refused += 1
            continue
        with suppress(OSError):
            channel.write(data)
    await asyncio.sleep(0)
    return refused


async def run(victim: Victim) -> None:
    """Fill names that are not read."""
    await fill_names_that_are_not_read(victim)


ATTACKS = [
    Attack("600 channels that are not read", run, {**SETTINGS, "permit_open": ["names"]}),
]
