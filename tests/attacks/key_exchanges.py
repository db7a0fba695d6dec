"""The beginning of a connection as bytes: what a side offers, and packets that a proxy injects."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from asyncssh.constants import MSG_IGNORE, MSG_KEXINIT

from tests.ssh.waiting import DEADLINE
from tunnelkeeper.ssh.negotiation import parse_kexinit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tunnelkeeper.ssh.negotiation import Offer

LOOPBACK = "127.0.0.1"

IGNORE_PACKET = (12).to_bytes(4) + bytes([6, MSG_IGNORE]) + bytes(4) + bytes(6)
"""A packet of RFC 4253 section 6 with an empty MSG_IGNORE, as anyone on the way can add."""


async def read_packet(reader: asyncio.StreamReader) -> bytes:
    """Read a packet that is not encrypted, with its length."""
    length = await reader.readexactly(4)
    return length + await reader.readexactly(int.from_bytes(length))


async def read_offer(reader: asyncio.StreamReader) -> Offer:
    """Read what a side offers, after its version string."""
    await reader.readuntil(b"\n")
    packet = await read_packet(reader)
    payload = packet[5 : len(packet) - packet[4]]
    assert payload[0] == MSG_KEXINIT
    offer = parse_kexinit(payload[1:])
    assert offer is not None
    return offer


async def offer_of_server(port: int) -> Offer:
    """Return what a server offers."""
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(b"SSH-2.0-test\r\n")
        try:
            return await read_offer(reader)
        finally:
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def injecting_proxy(port: int, *, to_server: bool, position: int) -> AsyncIterator[int]:
    """Run a proxy that adds a packet in one direction, and yield its port.

    position: the number of packets before it; -1 adds none.
    """
    connections: set[asyncio.Task[None]] = set()

    async def carry(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, injects: bool
    ) -> None:
        try:
            if injects and position >= 0:
                writer.write(await reader.readuntil(b"\n"))
                for _ in range(position):
                    writer.write(await read_packet(reader))
                writer.write(IGNORE_PACKET)
            while data := await reader.read(65536):
                writer.write(data)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        there, back = await asyncio.open_connection(LOOPBACK, port)
        await asyncio.gather(
            carry(reader, back, injects=to_server), carry(there, writer, injects=not to_server)
        )

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*connections)


def names_in(offer: Offer) -> Iterator[list[str]]:
    """Yield the lists of an offer as text."""
    return ([name.decode("ascii") for name in names] for names in offer.lists)
